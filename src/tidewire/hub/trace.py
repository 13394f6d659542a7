"""A live trace as the node has it that was asked for it: lines come by the bus from whoever listens.

It must not know connections, HTTP, or who looks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.unreadable import UNREADABLE

CHANNEL = "tidewire:trace"
SILENT_AFTER_S = 8.0
# Who looks says so this often; without it the tap is taken off after LEASE_S.
RENEW_EVERY_S = 3.0
LEASE_S = 10.0
# What waits for a reader that is slower than the trace; beyond it lines are dropped and counted.
WAITING_MAX_BYTES = 2_000_000

Ending = Literal["", "time", "bytes", "connection_ended", "left", "node_silent", "stopping"]


class Batch(msgspec.Struct, frozen=True):
    """Lines of one node. ``dropped``: how many that node has had to leave out, in all."""

    lines: list[bytes]
    dropped: int = 0
    ended: Ending = ""
    instance: str = ""


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
        # Of each node that listens: the newest number counts.
        self._lost_there: dict[str, int] = {}
        self.subscription = bus.subscribe(self._channel, self._receive)

    @property
    def dropped(self) -> int:
        """Lines that were too many."""
        return self._lost_here + sum(self._lost_there.values())

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
                batch = msgspec.msgpack.decode(payload, type=Batch)
            except UNREADABLE:
                self._lost_here += 1
                continue
            self._heard_at = self._clock.monotonic()
            self._lost_there[batch.instance] = batch.dropped
            for line in batch.lines:
                if self._bytes >= WAITING_MAX_BYTES:
                    self._lost_here += 1
                    continue
                self._bytes += len(line)
                self._waiting.append(line)
            self._ended = self._ended or batch.ended
            if batch.lines or batch.ended:
                self._news.set()
