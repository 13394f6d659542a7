"""HTTP side of a live trace: one answer of JSON lines that goes on until the trace ends or the reader leaves.

Of a connection, of all of a user's, or of a room's messages (``market:AAPL`` is a symbol). It is asked again every two
seconds whether the reader may still look. Begin and end are in the activity log, and whoever may trace sees who traces
what. It must not know how frames are caught. Source: dashboard.md M9.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec
import structlog
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from tidewire.accounts.http import caller
from tidewire.accounts.model import Principal
from tidewire.core.errors import InvalidRequest, NotFound, TidewireError, Unavailable
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.census import ConnectionQuery
from tidewire.hub.everywhere import Everywhere
from tidewire.hub.node_info import Silent
from tidewire.hub.trace_line import TEXT_MAX_CHARS, Direction
from tidewire.hub.traces import Opened, RunningTrace, Target, Terms, Traces
from tidewire.monitoring.connection_routes import Audit, json_answer, nowhere, require_admin, require_manage
from tidewire.monitoring.frame_verdict import FrameReader
from tidewire.monitoring.trace_reading import Began, Reading

SECONDS_MAX = 300
# All lines of one trace: enough for minutes of a busy connection, and a file that an editor opens.
BYTES_MAX = 5_000_000
log = structlog.get_logger("tidewire.monitoring")

MayStill = Callable[[Request], Awaitable[bool]]
# Returns whose view of a room somebody has. Raises InvalidRequest if there can be no such room.
AudienceOf = Callable[[str, Principal], str]

_Seconds = Annotated[float, Query(ge=1, le=SECONDS_MAX, allow_inf_nan=False)]
_Admin = Annotated[Principal, Depends(require_admin)]
_Manager = Annotated[Principal, Depends(require_manage)]


class FrameBody(msgspec.Struct, frozen=True):
    """A line of a trace; what else stands in it is ignored."""

    direction: Direction
    text: Annotated[str, msgspec.Meta(max_length=TEXT_MAX_CHARS)]
    cut: bool = False
    redacted: bool = False


class TracesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The traces under way, the oldest first. ``complete``: every node has answered."""

    traces: list[RunningTrace]
    complete: bool
    silent: list[Silent]
    cut_off: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who wants to see what. ``name``: what it is called in the log."""

    request: Request
    principal: Principal
    target: Target
    name: str
    seconds: float

    @property
    def action(self) -> str:
        """What the activity log calls it."""
        return f"{self.target.kind}.trace"


class TraceRoutes:
    """The routes.

    Args:
        everywhere: Finds a user's connections.
        audit: Writes an audit line.
        may_still: Whether who asked may still look.
        reader: Knows the messages of the contract.
        now: Tells the time, Unix seconds.
    """

    def __init__(
        self,
        traces: Traces,
        everywhere: Everywhere,
        audit: Audit,
        may_still: MayStill,
        audience_of: AudienceOf,
        reader: FrameReader,
        now: Callable[[], float],
    ) -> None:
        self._traces = traces
        self._everywhere = everywhere
        self._audit = audit
        self._may_still = may_still
        self._audience_of = audience_of
        self._reader = reader
        self._now = now

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/api/v1/admin", tags=["admin"])

        @router.get(
            "/connections/{connection_id}/trace", summary="What a connection sends and gets, live, as lines of JSON"
        )
        async def trace(
            request: Request, _: _Admin, principal: _Manager, connection_id: str, seconds: _Seconds = 60.0
        ) -> Response:
            """Ends after that time, after 5 MB, with the connection, or when the reader leaves. No secret is in it."""
            target = Target("connection", connection_id)
            return await self._stream(_Asked(request, principal, target, connection_id, seconds))

        self._add_others(router)
        return router

    def _add_others(self, router: APIRouter) -> None:
        """Add what is not of one connection."""

        @router.get("/traces", summary="Who traces what now, on all nodes")
        async def running(_: _Admin, __: _Manager) -> Response:
            traces, silent, cut_off = await self._traces.running()
            complete = not silent and not cut_off
            return json_answer(TracesAnswer(traces=traces, complete=complete, silent=silent, cut_off=cut_off))

        @router.get("/traces/stream", summary="What a user's connections or a room send, live, as lines of JSON")
        async def stream(
            request: Request,
            _: _Admin,
            principal: _Manager,
            user: Annotated[str, Query(max_length=64)] = "",
            room: Annotated[str, Query(max_length=200)] = "",
            seconds: _Seconds = 60.0,
        ) -> Response:
            """One of ``user`` (name or number) and ``room``; a symbol is the room ``market:AAPL``."""
            if bool(user) == bool(room):
                raise InvalidRequest(
                    "A trace is of one user or of one room.",
                    required_action="Send user=... or room=..., not both.",
                    will_not="Tidewire will not guess what was meant.",
                )
            target = await self._user(user) if user else Target("room", room, self._audience_of(room, principal))
            return await self._stream(_Asked(request, principal, target, user or room, seconds))

        @router.post("/traces/read", summary="Which messages a frame holds, and whether they fit the contract")
        async def read(request: Request, _: _Admin) -> Response:
            """Anybody's own frames, too; nothing is looked up."""
            frame = _frame(await request.body())
            return json_answer(self._reader.read(frame.direction, frame.text, cut=frame.cut, redacted=frame.redacted))

    async def _user(self, user: str) -> Target:
        """Return the user as a target. Raises NotFound, or Unavailable if a silent node may have them."""
        page = await self._everywhere.connections(ConnectionQuery(user=user, limit=1))
        row = page.rows[0] if page.rows else None
        if row is not None and row.user_id is not None:
            return Target("user", str(row.user_id))
        if page.silent or page.cut_off:
            raise _unknown(f"Whether {user} is connected is not known: not every node has answered.")
        raise NotFound(
            f"{user} has no connection now.",
            required_action="Wait until they connect, then begin the trace.",
            will_not="Tidewire will not trace somebody who is not there.",
            details={"user": str(user)},
        )

    async def _stream(self, asked: _Asked) -> Response:
        await self._note(asked, {"outcome": "requested", "seconds": asked.seconds})
        principal = asked.principal
        terms = Terms(
            seconds=asked.seconds,
            max_bytes=BYTES_MAX,
            by=principal.username,
            hide_premium=not principal.can("premium:view"),
        )
        opened = await self._traces.open(asked.target, terms)
        if opened.trace is None:
            raise _refusal(asked, opened)
        reading = Reading(opened.trace, self._began(asked, opened), self._now)

        async def note() -> None:
            try:
                await self._note(asked, {"outcome": "ended", **msgspec.structs.asdict(reading.end())})
            except TidewireError as exc:
                log.error("audit_outcome_unwritten", action=asked.action, target=asked.name, **exc.describe())

        lines = reading.lines(lambda: self._may_still(asked.request), note)
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=_HEADERS)

    def _began(self, asked: _Asked, opened: Opened) -> Began:
        row = opened.found.connection
        username = row.username if row is not None else asked.name if asked.target.kind == "user" else None
        return Began(
            kind=asked.target.kind,
            name=asked.name,
            connection_id=row.connection_id if row is not None else "",
            username=username,
            node=row.node if row is not None else ", ".join(opened.nodes),
            instance=row.instance if row is not None else "",
            connections=opened.connections,
            by=asked.principal.username,
            at=self._now(),
            seconds=asked.seconds,
            max_bytes=BYTES_MAX,
        )

    async def _note(self, asked: _Asked, details: dict[str, object]) -> None:
        await self._audit(
            principal=asked.principal,
            action=asked.action,
            details=details,
            target=asked.name[:64] if asked.target.kind == "connection" else asked.name,
            ip=caller(asked.request),
        )


def _frame(raw: bytes) -> FrameBody:
    """Read the body. Raises InvalidRequest."""
    try:
        return msgspec.json.decode(raw, type=FrameBody)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"This is no line of a trace: {str(exc)[:200]}",
            required_action='Send a line of type "frame" as the trace had it.',
            will_not="Tidewire will not guess what was sent.",
        ) from exc


def _refusal(asked: _Asked, opened: Opened) -> TidewireError:
    if opened.refused:
        return Unavailable(
            f"It cannot be traced now. {opened.refused}",
            required_action="Wait until a trace has ended, or end it; then try again.",
            will_not="Tidewire will not trace a connection or room for two readers at a time.",
            code="trace_busy",
        )
    if asked.target.kind == "connection":
        return nowhere(asked.name, opened.found)
    if opened.found.silent or opened.found.cut_off:
        return _unknown(f"Whether {asked.name} is open is not known: not every node has answered.")
    return NotFound(
        f"The room {asked.name} is not open on any node.",
        required_action="Take a room from the list of rooms; one opens when somebody enters it.",
        will_not="Tidewire will not open a room to look into it.",
        details={"room": asked.name},
    )


def _unknown(message: str) -> Unavailable:
    return Unavailable(
        message,
        required_action="Look at the nodes and the broker, then try again.",
        will_not="Tidewire will not say that there is nothing.",
        code="nodes_silent",
    )


# A proxy must pass each line on as it comes.
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
