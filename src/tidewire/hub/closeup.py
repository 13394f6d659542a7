"""One connection looked at closely, on whichever node it is: its row, its rooms, and its figures second by second.

From the first look on its node keeps the figures of each second, so that a page loaded anew has the history too;
half a minute after the last look it stops. It must not know HTTP or who looks. Source: dashboard.md M2, M7.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from tidewire.core.clock import Clock
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.census import ConnectionRow, whole_row
from tidewire.hub.departures import ClosedRow, closed_row
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes
from tidewire.hub.registry import ConnectionInfo
from tidewire.hub.session import Session

EVERY_S = 1.0
# A quarter of an hour, as the feed's columns have.
KEEP = 900
FORGET_AFTER_S = 30.0
# Pages that look at once; beyond it the one looked at longest ago starts anew.
WATCHED_MAX = 64


class Second(msgspec.Struct, frozen=True, array_like=True):
    """The figures of a connection at one moment: counters since it was opened, and what is so now.

    Attributes:
        at: Unix seconds.
        queued_bytes: Held back, or not yet taken by the kernel.
    """

    at: float
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    queued_bytes: int
    missed: int
    round_trip_ms: float | None


class RoomOfConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A room that a connection is in.

    Attributes:
        delivery: The class of the room's messages.
        offset: Of the room's newest message.
        member: Whether the user counts as present through this connection.
        suspended: A gap was told, and nothing is sent until the client enters again.
        queued_messages, queued_bytes: Held back for it, of this room.
        lost: Messages of this room that it did not get since it entered.
    """

    room_id: str
    delivery: str
    epoch: str
    offset: int
    members: int
    member: bool
    suspended: bool
    queued_messages: int
    queued_bytes: int
    lost: int


class Closeup(msgspec.Struct, frozen=True, kw_only=True):
    """What a node knows of a connection: alive with ``connection``, or ended with ``closed``.

    Attributes:
        watched_since: When its figures began to be kept.
        seconds: Those that are newer than was asked, oldest first.
    """

    connection: ConnectionRow | None = None
    closed: ClosedRow | None = None
    rooms: list[RoomOfConnection] = []
    watched_since: float | None = None
    seconds: list[Second] = []


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of all nodes; ``closeup`` None: no node that answered knows the connection."""

    closeup: Closeup | None
    silent: list[Silent]
    cut_off: str


class _Look(msgspec.Struct, frozen=True):
    connection_id: str
    after: float


@dataclass(slots=True)
class _Watched:
    since: float
    looked_at: float
    seconds: deque[Second] = field(default_factory=lambda: deque(maxlen=KEEP))


class Local(Protocol):
    """What is asked of this node's hub."""

    def session(self, connection_id: str) -> Session | None:
        """Return one living connection itself."""
        ...

    def connection(self, connection_id: str) -> ConnectionInfo | None:
        """Describe one living connection."""
        ...

    def recently_closed(self) -> list[ConnectionInfo]:
        """Return the last connections that ended, newest first."""
        ...


class Closeups:
    """See the module's text.

    Args:
        nodes: The other nodes; its handler is set here.
        local: This node's hub.
    """

    def __init__(self, nodes: Nodes, local: Local, clock: Clock) -> None:
        self._nodes = nodes
        self._local = local
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._loop = WatchedLoop("closeups", EVERY_S, self.tick, clock, aligned=True)
        nodes.handlers["closeup"] = lambda payload: msgspec.msgpack.encode(self._look_here(_look(payload)))

    def start(self) -> None:
        """Begin to keep figures of what is looked at."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self._loop.stop()

    async def look(self, connection_id: str, after: float = 0.0) -> Looked:
        """Return what is known of a connection; ``after``: figures up to this moment are known already."""
        wish = msgspec.msgpack.encode(_Look(connection_id, after))
        replies = await self._nodes.ask("closeup", wish, enough=lambda payload: payload != _NONE)
        for reply in replies.answers:
            if reply.payload != _NONE:
                found = msgspec.msgpack.decode(reply.payload, type=Closeup)
                row, closed = found.connection, found.closed
                if row is not None:
                    row = msgspec.structs.replace(row, node=reply.node, instance=reply.instance)
                if closed is not None:
                    closed = msgspec.structs.replace(closed, node=reply.node, instance=reply.instance)
                found = msgspec.structs.replace(found, connection=row, closed=closed)
                return Looked(closeup=found, silent=[], cut_off="")
        return Looked(closeup=None, silent=replies.silent, cut_off=replies.cut_off)

    def tick(self) -> None:
        """Note the figures of what is looked at; forget what is not any more."""
        now = self._clock.monotonic()
        for connection_id, watched in list(self._watched.items()):
            session = self._local.session(connection_id)
            if session is None or now - watched.looked_at > FORGET_AFTER_S:
                # Of one that has ended the figures stay until nobody looks.
                if now - watched.looked_at > FORGET_AFTER_S:
                    del self._watched[connection_id]
                continue
            watched.seconds.append(_second(session, self._clock.time()))

    # ---- inside

    def _look_here(self, wish: _Look) -> Closeup | None:
        session, info = self._local.session(wish.connection_id), self._local.connection(wish.connection_id)
        if session is not None and info is not None:
            watched = self._watch(wish.connection_id, session)
            return Closeup(
                connection=whole_row(info),
                rooms=_rooms_of(session),
                watched_since=watched.since,
                seconds=[each for each in watched.seconds if each.at > wish.after],
            )
        ended = next((each for each in self._local.recently_closed() if each.connection_id == wish.connection_id), None)
        if ended is None:
            return None
        watched_before = self._watched.get(wish.connection_id)
        if watched_before is None:
            return Closeup(closed=closed_row(ended))
        watched_before.looked_at = self._clock.monotonic()
        seconds = [each for each in watched_before.seconds if each.at > wish.after]
        return Closeup(closed=closed_row(ended), watched_since=watched_before.since, seconds=seconds)

    def _watch(self, connection_id: str, session: Session) -> _Watched:
        now, wall = self._clock.monotonic(), self._clock.time()
        watched = self._watched.get(connection_id)
        if watched is None:
            while len(self._watched) >= WATCHED_MAX:
                del self._watched[min(self._watched, key=lambda each: self._watched[each].looked_at)]
            watched = self._watched[connection_id] = _Watched(wall, now)
            # The first second is there at once, not after a second.
            watched.seconds.append(_second(session, wall))
        watched.looked_at = now
        return watched


def _second(session: Session, at: float) -> Second:
    held = session.outbox.statistics()
    return Second(
        at,
        session.messages_in,
        session.sequence,
        session.bytes_in,
        session.bytes_out,
        held.bytes + session.socket.unwritten_bytes(),
        held.replaced + held.dropped + held.given_up,
        session.round_trip_ms,
    )


def _rooms_of(session: Session) -> list[RoomOfConnection]:
    held = session.outbox.by_room()
    rooms = list[RoomOfConnection]()
    for room_id, subscription in session.subscriptions.items():
        room, mine = subscription.room, held.get(room_id)
        rooms.append(
            RoomOfConnection(
                room_id=room_id,
                delivery=room.rules.delivery,
                epoch=room.epoch,
                offset=room.offset,
                members=len(room),
                member=subscription.member,
                suspended=subscription.suspended,
                queued_messages=0 if mine is None else mine.messages,
                queued_bytes=0 if mine is None else mine.bytes,
                lost=0 if mine is None else mine.lost,
            )
        )
    return rooms


_NONE = msgspec.msgpack.encode(None)
_look = msgspec.msgpack.Decoder(_Look).decode
