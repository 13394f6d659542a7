"""HTTP side of vitals: what is healthy now, the names there are, and what the nodes remember.

It must not know how checks or figures come about. Source: contract.md section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from tidewire.accounts.http import require_permission
from tidewire.accounts.model import Principal
from tidewire.core.errors import InvalidRequest
from tidewire.vitals.catalogue import require_names
from tidewire.vitals.checks import Checks
from tidewire.vitals.gatherer import Gatherer
from tidewire.vitals.performance import choices
from tidewire.vitals.reading import NodeHistory
from tidewire.vitals.rules import VIEW
from tidewire.vitals.sampler import KEPT_S
from tidewire.vitals.trend import LOOK_BACK, STEP_S, trend_of
from tidewire.vitals.wire import Catalogue, HistoryAnswer, LineShown, NodeLines, TrendAnswer, labels_shown

_Reader = Annotated[Principal, Depends(require_permission(VIEW))]


def vitals_router(checks: Checks, gatherer: Gatherer, now: Callable[[], float]) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1/admin/analytics", tags=["admin"])

    @router.get("/system-health", summary="Carry out every check now")
    async def system_health(_: _Reader) -> Response:
        """Always 200: that something is not well is the answer, not a failure to answer."""
        return _json(await checks.health())

    @router.get("/metrics", summary="The names of figures")
    async def metrics(_: _Reader) -> Response:
        return _json(Catalogue(metrics=[*gatherer.catalogue().values()]))

    @router.get("/history", summary="The last quarter of an hour of named figures")
    async def history(
        _: _Reader, name: Annotated[list[str], Query()], seconds: Annotated[float, Query()] = KEPT_S
    ) -> Response:
        """``name``: one or more, as GET /metrics calls them; ``seconds``: at most 900."""
        names = require_names(name, gatherer.catalogue())
        found = await gatherer.history(names, _require_seconds(seconds))
        return _json(
            HistoryAnswer(
                at=now(),
                complete=found.complete,
                silent=found.silent,
                cut_off=found.cut_off,
                nodes=[_lines(node) for node in found.nodes],
            )
        )

    @router.get("/performance-history", summary="The percentiles of a histogram over the last quarter of an hour")
    async def performance_history(
        _: _Reader, metric: Annotated[str, Query()], seconds: Annotated[float, Query()] = KEPT_S
    ) -> Response:
        """``metric``: the family's name, such as tidewire_http_response_seconds."""
        known = {name: each for name, each in choices(gatherer.catalogue()).items() if each.kind == "histogram"}
        (family,) = require_names([metric], known)
        found = await gatherer.history([f"{family}_bucket"], _require_seconds(seconds))
        trend = trend_of(found.nodes)
        return _json(
            TrendAnswer(
                at=now(),
                metric=family,
                complete=found.complete,
                silent=found.silent,
                cut_off=found.cut_off,
                over_s=STEP_S * LOOK_BACK,
                times=trend.times,
                per_second=trend.per_second,
                **trend.percentiles,
            )
        )

    return router


def _lines(node: NodeHistory) -> NodeLines:
    lines = [LineShown(name=line.name, labels=labels_shown(line.labels), values=line.values) for line in node.lines]
    return NodeLines(node=node.node, instance=node.instance, times=node.times, lines=lines)


def _require_seconds(seconds: float) -> float:
    if not 1.0 <= seconds <= KEPT_S:
        raise InvalidRequest(
            f"A history of {seconds:g} s cannot be had.",
            required_action=f"Ask for 1 to {KEPT_S:g} seconds; what is older is in Prometheus, if it scrapes /metrics.",
            will_not="Tidewire will not show another time than was asked for.",
            code="bad_interval",
            details={"least": 1, "most": KEPT_S},
        )
    return seconds


def _json(answer: msgspec.Struct) -> Response:
    body = msgspec.json.encode(answer)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
