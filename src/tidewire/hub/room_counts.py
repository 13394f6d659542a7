"""How many connections other nodes have in a shared room, so that ``reached`` counts them all.

Each node tells what has changed four times a second, and everything to a node that is new or has missed something.
A count is as old as that: it tells a publisher how many are listening, it decides nothing. It must not know messages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from tidewire.bus.base import Bus, BusStatus
from tidewire.bus.listening import Listening
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE

CHANNEL = "tidewire:room-counts"
# Rooms in one message; 60 bytes each.
ROOMS_PER_MESSAGE = 2_000


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """Counts of one node; ``ask``: everybody is to tell all of theirs."""

    node: str
    counts: dict[str, int]
    ask: bool = False


_decode = msgspec.msgpack.Decoder(_Told).decode
_encode = msgspec.msgpack.Encoder().encode


class RoomCounts:
    """See the module's text.

    Args:
        node: This life of the process.
        here: Returns how many connections are in each shared room of this node.

    Attributes:
        known: Returns the nodes that live, this one too, and the names of those that are not heard; what others have
            said counts no more. Without it everything that was ever told counts.
    """

    def __init__(self, bus: Bus, node: str, here: Callable[[], Mapping[str, int]]) -> None:
        self._bus = bus
        self._node = node
        self._here = here
        self._told: dict[str, int] = {}
        self._others: dict[str, dict[str, int]] = {}
        self._listening = Listening(bus, {CHANNEL: self._receive}, gap=self._gap, state=self._bus_changed)
        self.known: Callable[[], tuple[Collection[str], list[str]]] | None = None
        self.malformed = 0

    def start(self) -> None:
        """Listen, and ask what everybody has."""
        self._listening.start()
        self._say({}, ask=True)

    def stop(self) -> None:
        """Forget everything. Idempotent."""
        self._listening.stop()

    def elsewhere(self, room_id: str) -> tuple[int, list[str]]:
        """Return how many connections other nodes have in a room, and the names of nodes that are not counted."""
        silent: list[str] = []
        if self.known is not None:
            living, silent = self.known()
            for gone in [node for node in self._others if node not in living]:
                del self._others[gone]
        return sum(counts.get(room_id, 0) for counts in self._others.values()), silent

    def tick(self) -> None:
        """Tell what has changed."""
        here = self._here()
        changed = {room: count for room, count in here.items() if self._told.get(room) != count}
        changed |= {room: 0 for room in self._told if room not in here}
        if changed and self._say(changed):
            self._told = dict(here)

    # ---- inside

    def _say(self, counts: Mapping[str, int], *, ask: bool = False) -> bool:
        items = list(counts.items())
        parts = [dict(items[at : at + ROOMS_PER_MESSAGE]) for at in range(0, len(items), ROOMS_PER_MESSAGE)] or [{}]
        try:
            self._bus.publish(CHANNEL, [_encode(_Told(self._node, part, ask)) for part in parts])
        except BusError:
            return False  # told again when the bus is back
        return True

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                told = _decode(payload)
            except UNREADABLE:
                self.malformed += 1
                continue
            if told.node == self._node:
                continue
            if told.ask:
                # The next tick tells everything.
                self._told = {}
            counts = self._others.setdefault(told.node, {})
            counts.update(told.counts)
            for room_id in [room_id for room_id, count in told.counts.items() if not count]:
                del counts[room_id]

    def _gap(self, channel: str) -> None:
        if channel == CHANNEL:
            self._again()

    def _bus_changed(self, status: BusStatus) -> None:
        if status.state == "up":
            self._again()

    def _again(self) -> None:
        self._others.clear()
        self._told = {}
        self._say({}, ask=True)
