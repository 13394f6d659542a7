"""HTTP side of a live trace: one answer of JSON lines that goes on until the trace ends or the reader leaves.

It is asked again every two seconds whether the reader may still look. Begin and end are in the activity log. It must
not know how frames are caught. Source: dashboard.md M9.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

import msgspec
import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from tidewire.accounts.model import Principal
from tidewire.core.background import background
from tidewire.core.errors import TidewireError, Unavailable
from tidewire.hub.census import ConnectionRow
from tidewire.hub.traces import Trace, Traces
from tidewire.monitoring.connection_routes import Audit, caller, nowhere, require_admin, require_manage

SECONDS_MAX = 300
# All lines of one trace: enough for minutes of a busy connection, and a file that an editor opens.
BYTES_MAX = 5_000_000
RECHECK_EVERY_S = 2.0
ACTION = "connection.trace"
log = structlog.get_logger("tidewire.monitoring")

MayStill = Callable[[Request], Awaitable[bool]]


class Began(msgspec.Struct, frozen=True, kw_only=True, tag="trace_started", tag_field="type"):
    """The first line."""

    connection_id: str
    username: str | None
    node: str
    instance: str
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


def trace_router(traces: Traces, audit: Audit, may_still: MayStill, now: Callable[[], float]) -> APIRouter:
    """Return the route.

    Args:
        audit: Writes an audit line.
        may_still: Whether who asked may still look.
        now: Tells the time, Unix seconds.
    """
    router = APIRouter(prefix="/api/v1/admin/connections", tags=["admin"])

    @router.get("/{connection_id}/trace", summary="What a connection sends and gets, live, as lines of JSON")
    async def trace(
        request: Request,
        _: Annotated[Principal, Depends(require_admin)],
        principal: Annotated[Principal, Depends(require_manage)],
        connection_id: str,
        seconds: Annotated[float, Query(ge=1, le=SECONDS_MAX, allow_inf_nan=False)] = 60.0,
    ) -> Response:
        """Ends after that time, after 5 MB, with the connection, or when the reader leaves. No secret is in it."""
        ip = caller(request)
        asked: dict[str, object] = {"outcome": "requested", "seconds": seconds}
        await audit(principal=principal, action=ACTION, details=asked, target=connection_id[:64], ip=ip)
        opened = await traces.open(connection_id, seconds=seconds, max_bytes=BYTES_MAX)
        row = opened.found.connection
        if opened.trace is None or row is None:
            raise _busy(opened.refused) if opened.refused else nowhere(connection_id, opened.found)
        reading = _Reading(opened.trace, row, now, seconds)

        async def note() -> None:
            details: dict[str, object] = {"outcome": "ended", **msgspec.structs.asdict(reading.end())}
            try:
                await audit(principal=principal, action=ACTION, details=details, target=connection_id, ip=ip)
            except TidewireError as exc:
                log.error("audit_outcome_unwritten", action=ACTION, target=connection_id, **exc.describe())

        lines = reading.lines(lambda: may_still(request), note)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=_HEADERS)

    return router


class _Reading:
    """One reader of one trace: makes the answer's lines, and counts them."""

    def __init__(self, trace: Trace, row: ConnectionRow, now: Callable[[], float], seconds: float) -> None:
        self._trace = trace
        self._row = row
        self._checked_at = now()
        self._now = now
        self._seconds = seconds
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
            yield self._began()
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

    def _began(self) -> bytes:
        began = Began(
            connection_id=self._row.connection_id,
            username=self._row.username,
            node=self._row.node,
            instance=self._row.instance,
            at=self._now(),
            seconds=self._seconds,
            max_bytes=BYTES_MAX,
        )
        return msgspec.json.encode(began) + b"\n"


async def _as_task(note: Callable[[], Awaitable[None]]) -> None:
    await note()


def _busy(why: str) -> Unavailable:
    return Unavailable(
        f"The connection cannot be traced now. {why}",
        required_action="Wait until a trace has ended, or end it; then try again.",
        will_not="Tidewire will not trace a connection for two readers at a time.",
        code="trace_busy",
    )


# A proxy must pass each line on as it comes.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
