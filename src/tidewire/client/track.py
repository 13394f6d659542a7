"""One room as the client follows it: what has been delivered, what must come next, who is inside. Pure.

Each (epoch, offset) leaves here at most once and in order, or a ``Reset`` says that something is lost. It must not know
sockets, other rooms, or how a subscribe is sent.
Source: docs/protocol.md, "Entering and resuming".
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from tidewire.client.event import Json, Message, Presence, Reset, RoomEvent
from tidewire.client.frame import FrameFault
from tidewire.core import protocol
from tidewire.core.protocol import Member, Since

# What a room's message carries besides the feature's own fields.
ENVELOPE = frozenset({"type", "room_id", "epoch", "offset", "timestamp"})
# Says what is in the room as of its newest message: its ``offset`` is the place of that one, not one of its own.
STATE = frozenset({"quote_state"})


class Phase(enum.Enum):
    """Where the room stands on the present connection.

    WANTED -> ASKED (subscribe sent) -> ENTERED (``subscribed`` came); any -> WANTED when the connection is lost or a
    gap is told; ENTERED -> PAUSED when the consumer is behind -> WANTED when it has caught up.
    """

    WANTED = "wanted"
    ASKED = "asked"
    ENTERED = "entered"
    PAUSED = "paused"


class Track:
    """See the module's text.

    Args:
        since: The last message the program has from before, if any.
        presence: Whether to ask who is inside.

    Attributes:
        since: The last message delivered; None if the room must be loaded anew.
        retry_at_ms: Not to be asked for before this.
        lagging: The consumer is behind; the room is to be left as soon as no replay is under way.
    """

    __slots__ = (
        "_begun",
        "_floor",
        "_lossless",
        "_replay_left",
        "_replay_to",
        "complete",
        "count",
        "lagging",
        "members",
        "phase",
        "presence",
        "retry_at_ms",
        "room_id",
        "since",
    )

    def __init__(self, room_id: str, *, since: Since | None = None, presence: bool = False) -> None:
        self.room_id = room_id
        self.presence = presence
        self.since = since
        self.phase = Phase.WANTED
        self.retry_at_ms = 0
        self.lagging = False
        self.members: dict[int, Member] = {}
        self.count = 0
        self.complete = True
        # Whether the consumer relies on continuity, so that a loss must be told.
        self._begun = since is not None
        self._lossless = True
        # While a replay runs: messages still to come, and the offset that the room has after it.
        self._replay_left = 0
        self._replay_to: Since | None = None
        self._floor = -1

    @property
    def replaying(self) -> bool:
        """Whether messages of a replay are still to come."""
        return self._replay_to is not None

    def want(self) -> None:
        """The room must be asked for again: the connection was lost, or a gap was told."""
        if self.phase is not Phase.PAUSED:
            self.phase = Phase.WANTED
        self._replay_left = 0
        self._replay_to = None

    def forget(self) -> None:
        """What was delivered is no longer true (close code 4006)."""
        self.since = None

    def subscribed(self, answer: protocol.Subscribed) -> list[RoomEvent]:
        """Apply the answer to our subscribe. Raises FrameFault if it does not fit what we have."""
        events: list[RoomEvent] = []
        self.phase = Phase.ENTERED
        self._lossless = answer.delivery == "lossless"
        to = Since(answer.epoch, answer.offset)
        if not answer.recovered:
            if self._begun:
                reset = Reset(
                    self.room_id,
                    answer.reason or "unknown",
                    answer.missed_at_least,
                    answer.epoch,
                    answer.offset,
                    answer.replayed,
                )
                events.append(reset)
            # Until the state is whole there is no place to continue from: half of it must not pass for all of it.
            self.since = None
        elif self.since is None or self.since.epoch != answer.epoch:
            raise FrameFault("recovered_nothing")
        self._begun = True
        self._floor = -1 if self.since is None else self.since.offset
        self._replay_left, self._replay_to = answer.replayed, to
        self._end_replay()
        return events

    def message(self, body: Mapping[str, Json]) -> list[RoomEvent]:
        """Apply a message of the room. Raises FrameFault on a hole that no ``gap`` explains."""
        epoch, offset = body.get("epoch"), None if body["type"] in STATE else body.get("offset")
        if offset is None:
            return [self._deliver(body, None)] if self.phase is Phase.ENTERED else []
        if not isinstance(offset, int) or isinstance(offset, bool) or not isinstance(epoch, str):
            raise FrameFault("bad_place")
        place = Since(epoch, offset)
        if self.phase is Phase.ENTERED:
            return self._replay(body, place) if self._replay_to is not None else self._live(body, place)
        if self.phase is Phase.ASKED and self._follows(place):
            # The server entered us by itself (user rooms) and will not repeat what it has sent on this connection.
            self.since = place
            return [self._deliver(body, place)]
        return []

    def presence_event(self, event: protocol.RoomEvent) -> list[RoomEvent]:
        """Apply a change of who is inside."""
        if self.phase is not Phase.ENTERED or not self.presence:
            return []
        joined, left = list(event.joined or ()), list(event.left or ())
        if event.event == "presence_state":
            joined = list(event.members or ())
            self.members = {}
            self.complete = event.complete is not False
        elif event.event == "member_joined" and event.member is not None:
            joined = [event.member]
        elif event.event == "member_left" and event.member is not None:
            left = [event.member]
        for member in left:
            self.members.pop(member.user_id, None)
        self.members |= {member.user_id: member for member in joined}
        self.count = event.count
        return [Presence(self.room_id, event.event, event.count, tuple(joined), tuple(left), self.complete)]

    def _replay(self, body: Mapping[str, Json], place: Since) -> list[RoomEvent]:
        to, before = self._replay_to, self.since
        if to is None or place.epoch != to.epoch or place.offset > to.offset:
            raise FrameFault("replay_broken")
        self._replay_left -= 1
        events: list[RoomEvent] = []
        if place.offset > self._floor:
            if before is not None and place.offset != before.offset + 1:
                raise FrameFault("replay_broken")
            self._floor = place.offset
            if before is not None:
                self.since = place
            events.append(self._deliver(body, place))
        self._end_replay()
        return events

    def _end_replay(self) -> None:
        if self._replay_to is None or self._replay_left > 0:
            return
        # In a ``latest`` room messages that were replaced on their way have no other trace than this offset.
        if self._lossless and self.since is not None and self.since.offset != self._replay_to.offset:
            raise FrameFault("replay_broken")
        self.since, self._replay_to = self._replay_to, None

    def _live(self, body: Mapping[str, Json], place: Since) -> list[RoomEvent]:
        since = self.since
        if since is None or place.epoch != since.epoch:
            raise FrameFault("foreign_epoch")
        if place.offset <= since.offset:
            return []
        if self._lossless and place.offset != since.offset + 1:
            raise FrameFault("offset_hole")
        self.since = place
        return [self._deliver(body, place)]

    def _follows(self, place: Since) -> bool:
        since = self.since
        return since is not None and place.epoch == since.epoch and place.offset == since.offset + 1

    def _deliver(self, body: Mapping[str, Json], place: Since | None) -> Message:
        timestamp = body.get("timestamp")
        return Message(
            self.room_id,
            str(body["type"]),
            place.epoch if place is not None else None,
            place.offset if place is not None else None,
            float(timestamp) if isinstance(timestamp, int | float) else 0.0,
            {name: value for name, value in body.items() if name not in ENVELOPE},
        )
