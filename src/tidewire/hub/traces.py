"""Live traces on any node, of a connection, a user or a room: the node that has it taps it, the asked one shows it.

A trace ends by itself: after its time or its bytes, with its connection, when who looks has left or was not heard for
ten seconds, when its node falls silent. One connection or room has one trace at a time, a node a few. Everybody who may
trace can see who traces what. It must not know HTTP. Source: dashboard.md M9.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from tidewire.bus.base import Bus, Subscription
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub import taps
from tidewire.hub.census import ConnectionRow, whole_row
from tidewire.hub.everywhere import Found
from tidewire.hub.node_info import Silent
from tidewire.hub.nodes import Nodes, Replies
from tidewire.hub.registry import ConnectionInfo
from tidewire.hub.session import Session
from tidewire.hub.tap import Lines, Tap
from tidewire.hub.trace import CHANNEL, LEASE_S, Batch, Ending, Trace
from tidewire.hub.trace_line import PREMIUM

FLUSH_EVERY_S = 0.25
# Said even if there is nothing to say, so that silence means something.
ALIVE_EVERY_S = 1.0
TRACES_MAX = 8

Kind = Literal["connection", "user", "room"]


class Target(msgspec.Struct, frozen=True):
    """What is traced: a connection by its id, a user by number, a room by name.

    Attributes:
        audience: Of a room that does not show the same to all: whose view.
    """

    kind: Kind
    name: str
    audience: str = ""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a trace is made.

    Attributes:
        by: Who looks, for everybody who asks.
        hide_premium: Who looks may not see a premium.
    """

    seconds: float
    max_bytes: int
    by: str = ""
    hide_premium: bool = False


class RunningTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace under way. ``until``: when it ends at the latest, Unix seconds."""

    kind: Kind
    name: str
    by: str
    since: float
    until: float
    node: str = ""
    instance: str = ""


class _Start(msgspec.Struct, frozen=True):
    """``instance``: the one node that is meant, empty: any."""

    target: Target
    trace_id: str
    terms: Terms
    instance: str = ""


class _Started(msgspec.Struct, frozen=True):
    """``refused``: why there is no trace though what was meant is here; ``connections``: how many are listened to."""

    connection: ConnectionRow | None = None
    refused: str = ""
    connections: int = 0


class Local(taps.Local, Protocol):
    """What is asked of this node's hub."""

    def session(self, connection_id: str) -> Session | None:
        """Return one living connection itself."""
        ...

    def connection(self, connection_id: str) -> ConnectionInfo | None:
        """Describe one living connection."""
        ...


class _Source(Protocol):
    """What is listened to."""

    lines: Lines

    @property
    def over(self) -> bool:
        """Whether nothing more can come."""
        ...

    def look(self) -> None:
        """Take up what has changed."""
        ...

    def remove(self) -> None:
        """Listen no more."""
        ...


@dataclass(slots=True)
class _Running:
    source: _Source
    channel: str
    until: float
    lease_until: float
    said_at: float
    control: Subscription
    shown: RunningTrace


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of the wish for a trace.

    Attributes:
        refused: What was meant is there, but not to be traced, and why.
        found: The connection, if one was meant; and who has not answered.
        nodes: Where it is listened to.
        connections: How many of the user's, or of the room's members.
    """

    trace: Trace | None
    refused: str
    found: Found
    nodes: tuple[str, ...] = ()
    connections: int = 0


class Traces:
    """See the module's text.

    Args:
        nodes: The other nodes; its handlers are set here.
        local: This node's hub.
    """

    def __init__(self, nodes: Nodes, local: Local, bus: Bus, clock: Clock) -> None:
        self._nodes, self._local, self._bus, self._clock = nodes, local, bus, clock
        self._running: dict[str, _Running] = {}
        self._open: set[Trace] = set()
        self._stopping = False
        self._loop = WatchedLoop("traces", FLUSH_EVERY_S, self.tick, clock)
        encode = msgspec.msgpack.encode
        nodes.handlers |= {
            "trace": lambda payload: encode(self._start_here(_start(payload))),
            "trace_room": lambda payload: encode(self._members_here(_name(payload))),
            "traces": lambda _: encode([running.shown for running in self._running.values()]),
        }

    def start(self) -> None:
        """Begin to pass on."""
        self._loop.start()

    async def stop(self) -> None:
        """End every trace, so that nobody's answer holds up the end of the process. Idempotent."""
        self._stopping = True
        for trace in list(self._open):
            trace.close("stopping")
        for trace_id in list(self._running):
            self._end(trace_id, "stopping")
        await self._loop.stop()

    async def open(self, target: Target, terms: Terms) -> Opened:
        """Begin a trace on whichever node, or for a user on all. Raises BusError."""
        where, members, replies = "", 0, None
        if target.kind == "room":
            where, members, replies = await self._room_at(target.name)
            if not where:
                return Opened(None, "", Found(None, False, replies.silent, replies.cut_off))
        trace_id = secrets.token_hex(8)
        trace = Trace(self._bus, self._clock, trace_id, self._open.discard)
        self._open.add(trace)
        try:
            await trace.subscription.ready()
            wish = msgspec.msgpack.encode(_Start(target, trace_id, terms, where))
            one = target.kind != "user"
            replies = await self._nodes.ask("trace", wish, enough=lambda payload: one and payload != _NONE)
        except BaseException:
            trace.close()
            raise
        opened = _opened(trace, replies, members)
        if opened.trace is None:
            trace.close()
        return opened

    async def running(self) -> tuple[list[RunningTrace], list[Silent], str]:
        """Return the traces under way on all nodes, the oldest first, and which nodes have not answered."""
        replies = await self._nodes.ask("traces")
        # A user's trace runs on every node; it is one.
        found = {
            (each.kind, each.name, each.by): msgspec.structs.replace(each, node=reply.node, instance=reply.instance)
            for reply in replies.answers
            for each in msgspec.msgpack.decode(reply.payload, type=list[RunningTrace])
        }
        return sorted(found.values(), key=lambda each: each.since), replies.silent, replies.cut_off

    def tick(self) -> None:
        """Pass on what has come by, take up what is new, and end what is over."""
        now = self._clock.monotonic()
        for trace_id, running in list(self._running.items()):
            ending = self._ending(running, now)
            if ending:
                self._end(trace_id, ending)
            else:
                running.source.look()
                self._pass_on(running, now)

    # ---- inside

    async def _room_at(self, room_id: str) -> tuple[str, int, Replies]:
        """Return the instance that has most of a room's members ("" if none has the room), and how many all have."""
        replies = await self._nodes.ask("trace_room", msgspec.msgpack.encode(room_id))
        members = {reply.instance: msgspec.msgpack.decode(reply.payload, type=int) for reply in replies.answers}
        having = {instance: count for instance, count in members.items() if count >= 0}
        where = max(having, key=lambda instance: having[instance], default="")
        return where, sum(having.values()), replies

    def _members_here(self, room_id: str) -> int:
        """Return how many members a room has here, -1 if it is not open."""
        room = self._local.room_itself(room_id)
        return -1 if room is None else len(room)

    def _start_here(self, wish: _Start) -> _Started | None:
        if wish.instance not in ("", self._nodes.node):
            return None
        if wish.target.kind == "connection":
            return self._start_connection(wish)
        if len(self._running) >= TRACES_MAX or self._stopping:
            return _Started(refused=self._crowded())
        lines = self._lines(wish.terms)
        if wish.target.kind == "user":
            user = taps.UserTap(self._local, int(wish.target.name), lines)
            self._run(wish, user)
            return _Started(connections=len(user))
        room = self._local.room_itself(wish.target.name)
        if room is None:
            return None
        if room.tap is not None:
            return _Started(refused="It is being traced already.")
        self._run(wish, taps.RoomTap(self._local, wish.target.name, wish.target.audience, lines))
        return _Started()

    def _start_connection(self, wish: _Start) -> _Started | None:
        session, info = self._local.session(wish.target.name), self._local.connection(wish.target.name)
        if session is None or info is None or session.lifecycle.ended:
            return None
        row = whole_row(info)
        if session.tap is not None:
            return _Started(row, "It is being traced already.")
        if len(self._running) >= TRACES_MAX or self._stopping:
            return _Started(row, self._crowded())
        self._run(wish, Tap(session, self._lines(wish.terms)))
        return _Started(row, connections=1)

    def _crowded(self) -> str:
        return f"Its node has {len(self._running)} traces and takes no more."

    def _lines(self, terms: Terms) -> Lines:
        return Lines(self._clock.time, terms.max_bytes, PREMIUM if terms.hide_premium else None)

    def _run(self, wish: _Start, source: _Source) -> None:
        now, wall, channel = self._clock.monotonic(), self._clock.time(), f"{CHANNEL}:{wish.trace_id}"
        control = self._bus.subscribe(f"{channel}:control", lambda _, words: self._control(wish.trace_id, words))
        target, until = wish.target, now + wish.terms.seconds
        shown = RunningTrace(
            kind=target.kind, name=target.name, by=wish.terms.by, since=wall, until=wall + wish.terms.seconds
        )
        self._running[wish.trace_id] = _Running(source, channel, until, now + LEASE_S, now, control, shown)

    def _control(self, trace_id: str, words: Sequence[bytes]) -> None:
        running = self._running.get(trace_id)
        if running is None:
            return
        if b"off" in words:
            self._end(trace_id, "left")
        else:
            running.lease_until = self._clock.monotonic() + LEASE_S

    def _ending(self, running: _Running, now: float) -> Ending:
        if running.source.over:
            return "connection_ended"
        if running.source.lines.full:
            return "bytes"
        if now >= running.until:
            return "time"
        return "left" if now >= running.lease_until else ""

    def _end(self, trace_id: str, ending: Ending) -> None:
        running = self._running.pop(trace_id)
        running.source.remove()
        running.control.close()
        self._pass_on(running, self._clock.monotonic(), ending)

    def _pass_on(self, running: _Running, now: float, ending: Ending = "") -> None:
        source = running.source.lines
        lines = source.take()
        if not lines and not ending and now - running.said_at < ALIVE_EVERY_S:
            return
        running.said_at = now
        batch = msgspec.msgpack.encode(Batch(lines, source.dropped, ending, self._nodes.node))
        try:
            self._bus.publish(running.channel, [batch])
        except BusError:
            source.dropped += len(lines)


def _opened(trace: Trace, replies: Replies, members: int) -> Opened:
    """Return what the nodes have made of a wish."""
    started = [
        (reply, msgspec.msgpack.decode(reply.payload, type=_Started))
        for reply in replies.answers
        if reply.payload != _NONE
    ]
    refused = next((each.refused for _, each in started if each.refused), "")
    row = next(
        (
            msgspec.structs.replace(each.connection, node=reply.node, instance=reply.instance)
            for reply, each in started
            if each.connection is not None
        ),
        None,
    )
    found = Found(row, False, replies.silent if row is None else [], replies.cut_off if row is None else "")
    if refused or not started:
        return Opened(None, refused, found)
    connections = members or sum(each.connections for _, each in started)
    return Opened(trace, "", found, tuple(reply.node for reply, _ in started), connections)


_NONE = msgspec.msgpack.encode(None)
_start = msgspec.msgpack.Decoder(_Start).decode
_name = msgspec.msgpack.Decoder(str).decode
