"""HTTP side of draining a node and taking it back. It must not know how nodes talk. Source: dashboard.md M8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Depends, Request, Response

from tidewire.accounts.http import caller
from tidewire.accounts.model import Principal
from tidewire.core.errors import Conflict, InvalidRequest, TidewireError, Unavailable
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.node_drain import NodeDrains, NodeState, Told
from tidewire.hub.node_info import Silent
from tidewire.monitoring.connection_routes import Audit, json_answer, no_node, require_admin, require_manage

log = structlog.get_logger("tidewire.monitoring")
_NOTHING = "Nothing was changed."
_Manager = Annotated[Principal, Depends(require_manage)]


class NodeStatesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How every node stands. ``complete``: every node has answered; ``at``: Unix seconds."""

    nodes: list[NodeState]
    complete: bool
    silent: list[Silent]
    cut_off: str
    at: float


class DrainBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``confirm``: the node's name, typed. ``even_last``: though no other node would take its clients."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    confirm: Annotated[str, msgspec.Meta(max_length=128)]
    even_last: bool = False


class NodeRoutes:
    """The routes.

    Args:
        audit: Writes an audit line.
        now: Tells the time, Unix seconds.
    """

    def __init__(self, drains: NodeDrains, audit: Audit, now: Callable[[], float]) -> None:
        self._drains = drains
        self._audit = audit
        self._now = now

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/api/v1/admin/nodes", tags=["admin"])

        @router.get("/states", summary="Which nodes take clients, and which are drained")
        async def states(_: Annotated[Principal, Depends(require_admin)]) -> Response:
            nodes, silent, cut_off = await self._drains.states()
            complete = not silent and not cut_off
            return json_answer(
                NodeStatesAnswer(nodes=nodes, complete=complete, silent=silent, cut_off=cut_off, at=self._now())
            )

        @router.post("/{instance}/drain", summary="Move a node's clients away (4000)", openapi_extra=_DOC)
        async def drain(request: Request, principal: _Manager, instance: str) -> Response:
            body = _read(await request.body())
            state = await self._check(instance, body)
            return json_answer(await self._tell(request, principal, state, drain=True, reason=body.reason))

        @router.post("/{instance}/accept", summary="Let a drained node take clients again")
        async def accept(request: Request, principal: _Manager, instance: str) -> Response:
            state, _ = await self._find(instance)
            return json_answer(await self._tell(request, principal, state, drain=False, reason=""))

        return router

    async def _find(self, instance: str) -> tuple[NodeState, list[NodeState]]:
        """Return a node and the others. Raises NotFound, or Unavailable if it may be a silent one."""
        nodes, silent, cut_off = await self._drains.states()
        found = next((node for node in nodes if node.instance == instance), None)
        if found is not None:
            return found, [node for node in nodes if node.instance != instance]
        if cut_off or any(node.instance == instance for node in silent):
            raise _silent(instance)
        raise no_node(instance, _NOTHING)

    async def _check(self, instance: str, body: DrainBody) -> NodeState:
        state, others = await self._find(instance)
        if body.confirm != state.node:
            raise InvalidRequest(
                f"Draining {state.node} wants its name typed.",
                required_action=f'Send "confirm": "{state.node}" if that is the node you mean.',
                will_not=_NOTHING,
                code="confirmation_required",
                details={"confirm": state.node},
            )
        if not body.even_last and not any(node.accepting for node in others):
            raise Conflict(
                f"No other node takes clients: {state.connections} would have nowhere to go.",
                required_action='Start another node, or send "even_last": true.',
                will_not=f"{_NOTHING} Tidewire will not put the service out unasked.",
                code="last_node",
                details={"clients": state.connections},
            )
        return state

    async def _tell(
        self, request: Request, principal: Principal, state: NodeState, *, drain: bool, reason: str
    ) -> Told:
        """Do it, with a line in the log before and after; without the first nothing is done."""
        action, target = "node.drain" if drain else "node.accept", f"{state.node} ({state.instance})"

        async def note(outcome: str) -> None:
            details: dict[str, object] = {"outcome": outcome, "reason": reason, "connections": state.connections}
            await self._audit(principal=principal, action=action, details=details, target=target, ip=caller(request))

        await note("requested")
        told = await self._drains.tell(state.instance, drain=drain, by=principal.username)
        try:
            await note("silent" if told is None else told.outcome)
        except TidewireError as exc:
            log.error("audit_outcome_unwritten", action=action, target=target, **exc.describe())
        if told is None:
            raise _silent(state.instance)
        if told.outcome == "moving":
            raise Conflict(
                f"{state.node} is still moving its clients away.",
                required_action="Wait until it has none left, at most 15 s, then take it back.",
                will_not=_NOTHING,
                code="node_moving",
                details={"node": state.node},
            )
        if told.outcome == "ending":
            raise Conflict(
                f"{state.node} is being shut down.",
                required_action="Wait for its successor.",
                will_not="Tidewire will not stop the end of a process.",
                code="node_ending",
                details={"node": state.node},
            )
        return told


def _silent(instance: str) -> Unavailable:
    return Unavailable(
        f"The node {instance[:64]!r} did not answer.",
        required_action="Look at its process and at its way to Redis; then look at the list of nodes.",
        will_not="Tidewire will not say that it was done; a node that wakes up may still do it.",
        code="nodes_silent",
        details={"node": instance[:64]},
    )


def _read(raw: bytes) -> DrainBody:
    """Read the body. Raises InvalidRequest."""
    try:
        return msgspec.json.decode(raw, type=DrainBody)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"Draining a node needs its name and a reason: {str(exc)[:200]}",
            required_action='Send {"confirm": "<name>", "reason": "..."} as JSON.',
            will_not=_NOTHING,
        ) from exc


_DOC: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["confirm", "reason"],
                    "properties": {
                        "confirm": {"type": "string"},
                        "reason": {"type": "string", "minLength": 1, "maxLength": 500},
                        "even_last": {"type": "boolean", "default": False},
                    },
                }
            }
        },
    }
}
