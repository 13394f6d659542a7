"""HTTP side of connections that end: the recently closed of all nodes, and closing many at once.

Closing many wants the number of them said too, so that a list that is not the one meant closes nobody. It must not know
how nodes talk. Source: contract.md section 6; dashboard.md M7, M8.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Depends, Query, Request, Response

from tidewire.accounts.http import caller
from tidewire.accounts.model import Principal
from tidewire.core.errors import InvalidRequest, TidewireError
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.census import PAGE_MAX
from tidewire.hub.departures import ClosedQuery, ClosedRow, Departures, Kicks
from tidewire.hub.node_info import Silent
from tidewire.monitoring.connection_routes import Audit, json_answer, require_admin, require_manage

ACTION = "connection.disconnect_many"
log = structlog.get_logger("tidewire.monitoring")

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class ClosedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The connections that ended last, newest first. ``remembered``: how many there are without the search."""

    closed: list[ClosedRow]
    matching: int
    remembered: int
    complete: bool
    silent: list[Silent]
    cut_off: str


class DisconnectManyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which connections to close. ``count`` is how many the person has confirmed; it must be their number."""

    connection_ids: Annotated[list[_Id], msgspec.Meta(min_length=1, max_length=PAGE_MAX)]
    count: int
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class ClosedOne(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that its node has closed. ``was_closing``: it was on its way out already, with another code."""

    connection_id: str
    node: str
    instance: str
    username: str | None
    was_closing: bool


class DisconnectManyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of them.

    Attributes:
        missing: No node that answered has them.
        complete: Every node has answered, so the missing have ended; otherwise they may be on one of ``silent``.
    """

    closed: list[ClosedOne]
    missing: list[str]
    close_code: int
    complete: bool
    silent: list[Silent]
    cut_off: str


def departure_router(departures: Departures, audit: Audit) -> APIRouter:
    """Return the routes.

    Args:
        departures: Asks all nodes.
        audit: Writes an audit line.
    """
    router = APIRouter(prefix="/api/v1/admin/connections", tags=["admin"])

    @router.get("/closed", summary="The connections of all nodes that ended last, with code and reason")
    async def closed(
        _: Annotated[Principal, Depends(require_admin)],
        text: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    ) -> Response:
        """``text`` is a part of user, address, program, id, code or reason. A node remembers its last 500."""
        page = await departures.closed(ClosedQuery(text=text, limit=limit))
        return json_answer(
            ClosedAnswer(
                closed=page.rows,
                matching=page.matching,
                remembered=page.remembered,
                complete=not page.silent and not page.cut_off,
                silent=page.silent,
                cut_off=page.cut_off,
            )
        )

    @router.post("/disconnect", summary="Close many connections, wherever they are (4503)", openapi_extra=_DOC)
    async def disconnect(request: Request, principal: Annotated[Principal, Depends(require_manage)]) -> Response:
        body = _read(await request.body())
        return json_answer(await _disconnect(departures, audit, principal, body, caller(request)))

    return router


async def _disconnect(
    departures: Departures, audit: Audit, principal: Principal, body: DisconnectManyBody, ip: str
) -> DisconnectManyAnswer:
    """Close them, with a line in the log before and after; without the first nothing is done."""
    target = f"{body.count} connections"

    async def note(outcome: str, **more: object) -> None:
        details: dict[str, object] = {"outcome": outcome, "reason": body.reason, **more}
        await audit(principal=principal, action=ACTION, details=details, target=target, ip=ip)

    await note("requested", connection_ids=body.connection_ids)
    kicks = await departures.disconnect(body.connection_ids)
    answer = _answer(kicks)
    try:
        users = sorted({each.username for each in answer.closed if each.username})
        silent = [each.instance for each in kicks.silent]
        await note("done", closed=len(answer.closed), users=users, missing=kicks.missing, silent=silent)
    except TidewireError as exc:
        # The request itself is in the log already, and the connections have been closed.
        log.error("audit_outcome_unwritten", action=ACTION, target=target, **exc.describe())
    return answer


def _answer(kicks: Kicks) -> DisconnectManyAnswer:
    closed = [
        ClosedOne(
            connection_id=kick.connection.connection_id,
            node=kick.connection.node,
            instance=kick.connection.instance,
            username=kick.connection.username,
            was_closing=kick.was_closing,
        )
        for kick in kicks.closed
    ]
    return DisconnectManyAnswer(
        closed=closed,
        missing=kicks.missing,
        close_code=4503,
        complete=not kicks.silent and not kicks.cut_off,
        silent=kicks.silent,
        cut_off=kicks.cut_off,
    )


def _read(raw: bytes) -> DisconnectManyBody:
    """Read the body. Raises InvalidRequest."""
    will_not = "Tidewire will not guess which were meant; nothing was closed."
    try:
        body = msgspec.json.decode(raw, type=DisconnectManyBody)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"Closing connections needs their ids, their number and a reason: {str(exc)[:200]}",
            required_action='Send {"connection_ids": [...], "count": n, "reason": "..."} with 1 to 200 ids as JSON.',
            will_not=will_not,
        ) from exc
    if body.count != len(set(body.connection_ids)):
        raise InvalidRequest(
            f"The count says {body.count}, but {len(set(body.connection_ids))} connections are named.",
            required_action="Look at the list again, and confirm the number that it has.",
            will_not=will_not,
            details={"count": body.count, "named": len(set(body.connection_ids))},
        )
    return body


_DOC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["connection_ids", "count", "reason"],
                    "properties": {
                        "connection_ids": {
                            "type": "array",
                            "items": {"type": "string", "minLength": 1, "maxLength": 64},
                            "minItems": 1,
                            "maxItems": PAGE_MAX,
                        },
                        "count": {"type": "integer"},
                        "reason": {"type": "string", "minLength": 1, "maxLength": 500},
                    },
                }
            }
        },
    }
}
