"""HTTP side of alerts: the list, one alert, acknowledging, resolving, silences, and who judges.

Looking needs ``analytics:read``, acting ``feed:control``. It must not know how rules are judged.
Source: contract.md section 6 (``/api/v1/admin/alerts``); docs/decisions/0020.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from tidewire.accounts.http import caller, require_permission
from tidewire.accounts.model import Principal
from tidewire.alerts.desk import Actor, Desk, Question, View
from tidewire.alerts.evaluator import UNWATCHED_S
from tidewire.alerts.herald import SEE
from tidewire.alerts.wire import AlertShown
from tidewire.core.cursor import read_place, write_place
from tidewire.core.errors import InvalidRequest
from tidewire.core.unreadable import UNREADABLE
from tidewire.store.alert_records import SilenceRecord

ACT = "feed:control"
PREFIX = "/api/v1/admin/alerts"
PAGE_MAX = 200
_WILL_NOT = "Tidewire will not guess what was meant; nothing was done."

Viewer = Annotated[Principal, Depends(require_permission(SEE))]
_Text = Annotated[str, Query(max_length=200)]
_Body = TypeVar("_Body", bound=msgspec.Struct)
Note = Annotated[str, msgspec.Meta(max_length=500)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


def require_both(principal: Viewer, _: Annotated[Principal, Depends(require_permission(ACT))]) -> Principal:
    """Return who may see alerts and act on them. Raises Unauthenticated or Forbidden."""
    return principal


Operator = Annotated[Principal, Depends(require_both)]


class AcknowledgeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``acknowledge`` takes."""

    note: Note = ""


class ResolveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``resolve`` takes."""

    reason: Reason


class SilenceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``silences`` takes; without a group all of the rule's are silenced."""

    rule: str
    seconds: float
    reason: str
    group: str | None = None


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """Who judges the rules.

    Attributes:
        mode: ``leading``, ``alone`` (the broker is away: each node judges its own figures), ``nobody``, or ``unknown``
            (this node has begun to listen a moment ago).
        heard_at: When it last said so, or this node began to listen, Unix seconds.
        unwritten, lost: Alerts that the database does not have yet, and that it will never have.
    """

    mode: Literal["leading", "alone", "nobody", "unknown"]
    node: str
    heard_at: float
    rules_from: str = ""
    open: int | None = None
    unwritten: int = 0
    lost: int = 0
    held_back: int = 0
    unheard: list[str] = []


class AlertsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of alerts.

    Attributes:
        cursor: Asks for the next page.
        at: When this was so, Unix seconds.
        live: As the judging node says it; otherwise as the database has it.
    """

    alerts: list[AlertShown]
    matching: int
    cursor: str | None
    at: float
    live: bool
    judging: Judging


class SilencesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Silences that are on, and those that ended lately."""

    silences: list[SilenceRecord]
    at: float


def alert_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=PREFIX, tags=["alerts"])

    @router.get("", summary="Alerts: open, acknowledged, unresolved, resolved or all; the newest first")
    async def alerts(
        _: Viewer,
        view: View = "open",
        severity: Literal["", "low", "medium", "high", "critical"] = "",
        rule: _Text = "",
        text: _Text = "",
        sort: Literal["opened_at"] = "opened_at",
        descending: bool = False,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
        cursor: _Text = "",
    ) -> Response:
        """``text``: part of the message, the rule's key or the group."""
        question = Question(
            view=view, severity=severity, rule=rule, text=text, descending=descending, limit=limit,
            after=_read_cursor(cursor),
        )  # fmt: skip
        found = await desk.page(question)
        after = None if found.after is None else write_place(found.after)
        return answer(
            AlertsAnswer(
                alerts=found.rows, matching=found.matching, cursor=after, at=desk.now(), live=found.live,
                judging=judging(desk),
            )
        )  # fmt: skip

    @router.get("/judging", summary="Which node judges the rules, and what is not stored yet")
    async def who_judges(_: Viewer) -> Response:
        return answer(judging(desk))

    _add_silences(router, desk)

    @router.get("/{alert_id}", summary="One alert")
    async def alert(_: Viewer, alert_id: str) -> Response:
        return answer(await desk.get(alert_id))

    @router.post("/{alert_id}/acknowledge", summary="Say that you look after it")
    async def acknowledge(request: Request, principal: Operator, alert_id: str) -> Response:
        body = read_body(await request.body(), AcknowledgeBody, '{"note": "..."} (at most 500 characters)')
        return answer(await desk.acknowledge(alert_id, body.note, actor_of(request, principal)))

    @router.post("/{alert_id}/resolve", summary="End it by hand; if its cause goes on, it opens again")
    async def resolve(request: Request, principal: Operator, alert_id: str) -> Response:
        body = read_body(await request.body(), ResolveBody, '{"reason": "..."} (1 to 500 characters)')
        return answer(await desk.resolve(alert_id, body.reason, actor_of(request, principal)))

    return router


def _add_silences(router: APIRouter, desk: Desk) -> None:
    """Add the routes of silences."""

    @router.get("/silences", summary="Silences that are on, and those that ended in the last day")
    async def silences(_: Viewer) -> Response:
        return answer(SilencesAnswer(silences=await desk.silences(), at=desk.now()))

    @router.post(
        "/silences", status_code=201, summary="Send no messages of a rule, or of one of its groups, for a while"
    )
    async def silence(request: Request, principal: Operator) -> Response:
        body = read_body(
            await request.body(), SilenceBody, '{"rule": "...", "group": null, "seconds": 3600, "reason": "..."}'
        )
        made = await desk.silence(body.rule, body.group, body.seconds, body.reason, actor_of(request, principal))
        return answer(made, 201)

    @router.delete("/silences/{silence_id}", summary="End a silence before its time")
    async def end_silence(request: Request, principal: Operator, silence_id: str) -> Response:
        return answer(await desk.end_silence(silence_id, actor_of(request, principal)))


def judging(desk: Desk) -> Judging:
    """Return who judges."""
    board = desk.board()
    if board is None:
        silent = desk.now() - desk.heard_at > UNWATCHED_S
        return Judging(mode="nobody" if silent else "unknown", node="", heard_at=desk.heard_at)
    return Judging(
        mode="alone" if board.mode == "alone" else "leading",
        node=board.node,
        heard_at=desk.heard_at,
        rules_from=board.rules_from,
        open=board.open_count,
        unwritten=board.unwritten,
        lost=board.lost,
        held_back=board.held_back,
        unheard=board.unheard,
    )


def actor_of(request: Request, principal: Principal) -> Actor:
    """Return who acts, for the audit."""
    return Actor(principal, caller(request))


def read_body(body: bytes, kind: type[_Body], example: str) -> _Body:
    """Read a request's body strictly. Raises InvalidRequest."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"The request's body is not understood: {str(exc)[:200]}",
            required_action=f"Send {example} as JSON.",
            will_not=_WILL_NOT,
        ) from exc


def answer(body: msgspec.Struct, status: int = 200) -> Response:
    """Answer with it, for nobody to keep."""
    return Response(
        msgspec.json.encode(body), status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


_place = msgspec.json.Decoder(tuple[float, str])


def _read_cursor(cursor: str) -> tuple[float, str] | None:
    if not cursor:
        return None
    try:
        at, alert_id = read_place(cursor, _place)
    except ValueError as exc:
        raise _no_cursor() from exc
    # What no clock has ever said is not asked of the database.
    if not 0 <= at < 4e9:
        raise _no_cursor()
    return at, alert_id


def _no_cursor() -> InvalidRequest:
    return InvalidRequest(
        "The cursor is not one of this list.",
        required_action="Send the cursor of the answer before, or none to begin anew.",
        will_not=_WILL_NOT,
    )
