"""One reader of one live trace: makes the answer's lines, and counts them. It must not know HTTP or who reads.

Source: dashboard.md M9.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from tidewire.core.background import background
from tidewire.hub.trace import Trace

RECHECK_EVERY_S = 2.0


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="trace_started", tag_field="type"):
    """The first line.

    Attributes:
        kind, name: What is traced: a ``connection``, a ``user`` or a ``room``.
        connection_id, username: Only what is known of one connection or user.
        connections: How many of the user's are listened to, or how many members the room has.
    """

    kind: str
    name: str
    connection_id: str
    username: str | None
    node: str
    instance: str
    connections: int
    by: str
    at: float
    seconds: float
    max_bytes: int


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag="trace_ended", tag_field="type"):
    """The last line. ``dropped``: frames that were too many and are missing."""

    at: float
    reason: str
    frames: int
    bytes: int
    dropped: int


class Alive(msgspec.Struct, frozen=True, kw_only=True, tag="alive", tag_field="type"):
    """Nothing has happened; the trace goes on."""

    at: float


class Reading:
    """See the module's text.

    Args:
        now: Tells the time, Unix seconds.
    """

    def __init__(self, trace: Trace, began: Began, now: Callable[[], float]) -> None:
        self._trace = trace
        self._began = began
        self._checked_at = now()
        self._now = now
        self._frames = self._bytes = 0
        self._reason = "left"
        self._notes: set[asyncio.Task[None]] = set()

    def end(self) -> Ended:
        """Return how it ended."""
        return Ended(
            at=self._now(),
            reason=self._reason,
            frames=self._frames,
            bytes=self._bytes,
            dropped=self._trace.dropped,
        )

    async def lines(
        self, may_still: Callable[[], Awaitable[bool]], note: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[bytes]:
        """Yield the answer, a chunk of whole lines at a time."""
        try:
            yield msgspec.json.encode(self._began) + b"\n"
            while True:
                lines, ended = await self._trace.next(RECHECK_EVERY_S)
                if self._is_due() and not await may_still():
                    # What came meanwhile is not for somebody who may look no more.
                    self._reason = "revoked"
                    break
                self._frames += len(lines)
                self._bytes += sum(map(len, lines))
                if lines:
                    yield b"\n".join(lines) + b"\n"
                elif not ended:
                    yield msgspec.json.encode(Alive(at=self._now())) + b"\n"
                if ended:
                    self._reason = ended
                    break
            yield msgspec.json.encode(self.end()) + b"\n"
        finally:
            self._trace.close()
            # A task of its own: when the reader has left, this one is being cancelled.
            task = background(_as_task(note), "trace-audit")
            self._notes.add(task)
            task.add_done_callback(self._notes.discard)

    def _is_due(self) -> bool:
        """Whether it is time to ask anew whether the reader may look."""
        if abs(self._now() - self._checked_at) < RECHECK_EVERY_S:
            return False
        self._checked_at = self._now()
        return True


async def _as_task(note: Callable[[], Awaitable[None]]) -> None:
    await note()
