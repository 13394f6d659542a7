"""When to look whether a room is still needed. Pure: time is an argument.

A room that is new or that its last member has left is looked at when nobody's leaving is held back any more: most rooms
remember nothing, and can go then. Kept until a round over all rooms came by, they were a third of what the process had
beside its history. The round meets the others, those that remember something for a while. It must not know what a room
is.
Bounded: no more names than there are rooms, and of those only so many at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, takewhile

from tidewire.hub.presence import GRACE_S

# A reload finds its room as it was; what is held back has been told by then.
VACANT_S = GRACE_S + 1.0
# When ten thousand leave together, their rooms go within seconds and not at once.
VACANT_AT_ONCE = 500
# A round over all rooms is begun so often, and done in so many parts: a hundred thousand at once would be a stall.
ROUND_S = 60.0
ROUND_PARTS = 200


class Sweeping:
    """See the module's text. ``now``: monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._vacant: dict[str, float] = {}
        self._round: list[str] = []
        self._part = 1
        self._next_round = now + ROUND_S

    def entered(self, room_id: str) -> None:
        """Somebody is in the room."""
        self._vacant.pop(room_id, None)

    def vacated(self, room_id: str, now: float) -> None:
        """Nobody is in the room from now on: it is new, or its last member has left."""
        self._vacant.pop(room_id, None)
        self._vacant[room_id] = now

    def due(self, now: float, room_ids: Iterable[str]) -> list[str]:
        """Return the rooms to look at now; ``room_ids``: all there are. Called several times a second."""
        # They stand in the order in which they were left.
        left = takewhile(lambda each: each[1] + VACANT_S <= now, self._vacant.items())
        due = [room_id for room_id, _ in islice(left, VACANT_AT_ONCE)]
        for room_id in due:
            del self._vacant[room_id]
        if not self._round and now >= self._next_round:
            self._next_round = now + ROUND_S
            self._round = list(room_ids)
            self._part = len(self._round) // ROUND_PARTS + 1
        if self._round:
            due += self._round[-self._part :]
            del self._round[-self._part :]
        return due
