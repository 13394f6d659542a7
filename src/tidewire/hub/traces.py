"""Live traces of connections on any node: the node that has the connection taps it, the one that was asked shows it.

A trace ends by itself: after its time or its bytes, with the connection, when who looks has left or was not heard for
ten seconds, when its node falls silent. One connection has one trace at a time, a node a few. It must not know HTTP, or
who looks. Source: dashboard.md M9.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from tidewire.bus.base import Bus, Subscription
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.census import ConnectionRow, whole_row
from tidewire.hub.everywhere import Found
from tidewire.hub.nodes import Nodes
from tidewire.hub.registry import ConnectionInfo
from tidewire.hub.session import Session
from tidewire.hub.tap import Tap

CHANNEL = "tidewire:trace"
FLUSH_EVERY_S = 0.25
# Said even if there is nothing to say, so that silence means something.
ALIVE_EVERY_S = 1.0
SILENT_AFTER_S = 8.0
# Who looks says so this often; without it the tap is taken off after LEASE_S.
RENEW_EVERY_S = 3.0
LEASE_S = 10.0
TRACES_MAX = 8
# What waits for a reader that is slower than the trace; beyond it lines are dropped and counted.
WAITING_MAX_BYTES = 2_000_000

Ending = Literal["", "time", "bytes", "connection_ended", "left", "node_silent", "stopping"]


class _Start(msgspec.Struct, frozen=True):
    connection_id: str
    trace_id: str
    seconds: float
    max_bytes: int


class _Started(msgspec.Struct, frozen=True):
    """``refused``: why there is no trace though the connection is here."""

    connection: ConnectionRow
    refused: str = ""


class _Batch(msgspec.Struct, frozen=True):
    lines: list[bytes]
    dropped: int = 0
    ended: Ending = ""


class Local(Protocol):
    """What is asked of this node's hub."""

    def session(self, connection_id: str) -> Session | None:
        """Return one living connection itself."""
        ...

    def connection(self, connection_id: str) -> ConnectionInfo | None:
        """Describe one living connection."""
        ...


@dataclass(slots=True)
class _Running:
    tap: Tap
    channel: str
    until: float
    lease_until: float
    said_at: float
    control: Subscription


class Trace:
    """A trace as the node that was asked has it. Queue: ``WAITING_MAX_BYTES``; overflow policy: the newest is dropped.

    Attributes:
        dropped: Lines lost here or at the connection's node because they were too many.
    """

    def __init__(self, bus: Bus, clock: Clock, trace_id: str, closed: Callable[[Trace], None]) -> None:
        self._bus = bus
        self._clock = clock
        self._channel = f"{CHANNEL}:{trace_id}"
        self._closed = closed
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        self._heard_at = clock.monotonic()
        self._renewed_at = self._heard_at
        self._ended: Ending = ""
        self._lost_here = 0
        self._lost_there = 0
        self.subscription = bus.subscribe(self._channel, self._receive)

    @property
    def dropped(self) -> int:
        """Lines that were too many."""
        return self._lost_here + self._lost_there

    async def next(self, within_s: float) -> tuple[list[bytes], Ending]:
        """Return what has come, or nothing after that time, and why the trace has ended if it has."""
        if not self._waiting and not self._ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), within_s)
        self._news.clear()
        lines = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        now = self._clock.monotonic()
        if not self._ended and now - self._heard_at > SILENT_AFTER_S:
            self._ended = "node_silent"
        if not self._ended and now - self._renewed_at >= RENEW_EVERY_S:
            self._renewed_at = now
            self._say(b"on")
        return lines, self._ended

    def close(self, why: Ending = "left") -> None:
        """Take the tap off. Idempotent."""
        self._ended = self._ended or why
        self._news.set()
        self.subscription.close()
        self._say(b"off")
        self._closed(self)

    def _say(self, word: bytes) -> None:
        try:
            self._bus.publish(f"{self._channel}:control", [word])
        except BusError:
            # Without the bus the tap's lease runs out by itself.
            return

    def _receive(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            try:
                batch = msgspec.msgpack.decode(payload, type=_Batch)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._lost_here += 1
                continue
            self._heard_at = self._clock.monotonic()
            self._lost_there = batch.dropped
            for line in batch.lines:
                if self._bytes >= WAITING_MAX_BYTES:
                    self._lost_here += 1
                    continue
                self._bytes += len(line)
                self._waiting.append(line)
            self._ended = self._ended or batch.ended
            if batch.lines or batch.ended:
                self._news.set()


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of the wish for a trace. ``refused``: the connection is there, but not to be traced, and why."""

    trace: Trace | None
    refused: str
    found: Found


class Traces:
    """See the module's text.

    Args:
        nodes: The other nodes; its handler is set here.
        local: This node's hub.
    """

    def __init__(self, nodes: Nodes, local: Local, bus: Bus, clock: Clock) -> None:
        self._nodes, self._local, self._bus, self._clock = nodes, local, bus, clock
        self._running: dict[str, _Running] = {}
        self._open: set[Trace] = set()
        self._stopping = False
        self._loop = WatchedLoop("traces", FLUSH_EVERY_S, self.tick, clock)
        nodes.handlers["trace"] = lambda payload: msgspec.msgpack.encode(self._start_here(_start(payload)))

    def start(self) -> None:
        """Begin to pass on."""
        self._loop.start()

    async def stop(self) -> None:
        """End every trace, so that nobody's answer holds up the end of the process. Idempotent."""
        self._stopping = True
        for trace in list(self._open):
            trace.close("stopping")
        for connection_id in list(self._running):
            self._end(connection_id, "stopping")
        await self._loop.stop()

    async def open(self, connection_id: str, *, seconds: float, max_bytes: int) -> Opened:
        """Begin a trace of a connection on whichever node it is. Raises BusError."""
        trace_id = secrets.token_hex(8)
        trace = Trace(self._bus, self._clock, trace_id, self._open.discard)
        self._open.add(trace)
        try:
            await trace.subscription.ready()
            wish = msgspec.msgpack.encode(_Start(connection_id, trace_id, seconds, max_bytes))
            replies = await self._nodes.ask("trace", wish, enough=lambda payload: payload != _NONE)
        except BaseException:
            trace.close()
            raise
        for reply in replies.answers:
            if reply.payload != _NONE:
                started = msgspec.msgpack.decode(reply.payload, type=_Started)
                row = msgspec.structs.replace(started.connection, node=reply.node, instance=reply.instance)
                if started.refused:
                    trace.close()
                return Opened(None if started.refused else trace, started.refused, Found(row, False, [], ""))
        trace.close()
        return Opened(None, "", Found(None, False, replies.silent, replies.cut_off))

    def tick(self) -> None:
        """Pass on what has come by, and end what is over."""
        now = self._clock.monotonic()
        for connection_id, running in list(self._running.items()):
            ending = self._ending(running, now)
            if ending:
                self._end(connection_id, ending)
            else:
                self._pass_on(running, now)

    # ---- inside

    def _start_here(self, wish: _Start) -> _Started | None:
        session, info = self._local.session(wish.connection_id), self._local.connection(wish.connection_id)
        if session is None or info is None or session.lifecycle.ended:
            return None
        row = whole_row(info)
        if wish.connection_id in self._running:
            return _Started(row, "It is being traced already.")
        if len(self._running) >= TRACES_MAX or self._stopping:
            return _Started(row, f"Its node has {len(self._running)} traces and takes no more.")
        now, channel = self._clock.monotonic(), f"{CHANNEL}:{wish.trace_id}"
        tap = Tap(session, self._clock.time, wish.max_bytes)
        control = self._bus.subscribe(
            f"{channel}:control", lambda _, words: self._control(wish.connection_id, tap, words)
        )
        self._running[wish.connection_id] = _Running(tap, channel, now + wish.seconds, now + LEASE_S, now, control)
        return _Started(row)

    def _control(self, connection_id: str, tap: Tap, words: Sequence[bytes]) -> None:
        running = self._running.get(connection_id)
        if running is None or running.tap is not tap:
            return
        if b"off" in words:
            self._end(connection_id, "left")
        else:
            running.lease_until = self._clock.monotonic() + LEASE_S

    def _ending(self, running: _Running, now: float) -> Ending:
        if running.tap.session.lifecycle.ended:
            return "connection_ended"
        if running.tap.full:
            return "bytes"
        if now >= running.until:
            return "time"
        return "left" if now >= running.lease_until else ""

    def _end(self, connection_id: str, ending: Ending) -> None:
        running = self._running.pop(connection_id)
        running.tap.remove()
        running.control.close()
        self._pass_on(running, self._clock.monotonic(), ending)

    def _pass_on(self, running: _Running, now: float, ending: Ending = "") -> None:
        lines = running.tap.take()
        if not lines and not ending and now - running.said_at < ALIVE_EVERY_S:
            return
        running.said_at = now
        batch = msgspec.msgpack.encode(_Batch(lines, running.tap.dropped, ending))
        try:
            self._bus.publish(running.channel, [batch])
        except BusError:
            running.tap.dropped += len(lines)


_NONE = msgspec.msgpack.encode(None)
_start = msgspec.msgpack.Decoder(_Start).decode
