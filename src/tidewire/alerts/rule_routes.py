"""HTTP side of alert rules: how each is, making, changing, deleting. It must not know how they are judged."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response

from tidewire.alerts.desk import Desk
from tidewire.alerts.routes import PREFIX, Operator, Viewer, actor_of, answer, read_body
from tidewire.alerts.rule import Rule
from tidewire.alerts.wire import RuleState

_Version = Annotated[int, Query(ge=1)]


class RuleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``PUT`` takes; ``version`` is the one that was seen, 0 where none is stored."""

    rule: msgspec.Raw
    version: int


class RuleShown(msgspec.Struct, frozen=True, kw_only=True):
    """A rule.

    Attributes:
        rule: None: what is stored is no rule of this version.
        state: How it is; None while nobody judges.
        shipped: Tidewire comes with it; ``changed``: an admin has it otherwise.
        version: 0 if nothing is stored of it.
    """

    key: str
    rule: Rule | None
    state: RuleState | None
    shipped: bool
    changed: bool
    version: int
    updated_at: float | None
    updated_by: str | None


class RulesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Every rule, by key."""

    rules: list[RuleShown]
    at: float


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The rule is stored; the judging node reads it within a second or two."""

    key: str
    version: int


class MetricsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule may refer to: metric -> its labels."""

    metrics: dict[str, list[str]]


def rule_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix=f"{PREFIX}/rules", tags=["alerts"])

    @router.get("", summary="Every rule, and how it is now")
    async def rules(_: Viewer) -> Response:
        board = desk.board()
        states = {} if board is None else {state.key: state for state in board.rules}
        found = [
            RuleShown(
                key=rule.key if rule is not None else record.key if record is not None else "",
                rule=rule,
                state=states.get(rule.key if rule is not None else ""),
                shipped=shipped,
                changed=shipped and record is not None,
                version=0 if record is None else record.version,
                updated_at=None if record is None else record.updated_at,
                updated_by=None if record is None else record.updated_by,
            )
            for rule, record, shipped in await desk.rules()
        ]
        return answer(RulesAnswer(rules=found, at=desk.now()))

    @router.get("/metrics", summary="Metrics and labels that a rule may refer to")
    async def metrics(_: Viewer) -> Response:
        return answer(MetricsAnswer(metrics={name: list(labels) for name, labels in (await desk.metrics()).items()}))

    @router.put("/{key}", summary="Make a rule, or change one")
    async def put(request: Request, principal: Operator, key: str) -> Response:
        body = read_body(await request.body(), RuleBody, '{"version": 0, "rule": {...}} (docs/alerts.md)')
        done = await desk.put_rule(key, bytes(body.rule), body.version, actor_of(request, principal))
        return answer(StoredAnswer(key=done.key, version=done.version))

    @router.delete("/{key}", summary="Delete a rule of one's own, or restore a shipped one")
    async def remove(request: Request, principal: Operator, key: str, version: _Version) -> Response:
        await desk.delete_rule(key, version, actor_of(request, principal))
        return answer(StoredAnswer(key=key, version=0))

    return router
