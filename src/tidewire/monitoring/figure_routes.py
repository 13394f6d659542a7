"""HTTP side of the figures on a dashboard: what each was over the last minutes, over all nodes or one.

A node that did not answer is named and its figures are missing from every line. It must not know how nodes talk.
Source: contract.md section 6; dashboard.md M15, S3.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response

from tidewire.core.errors import InvalidFields, InvalidRequest
from tidewire.core.sample import COUNTED_ONCE
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.node_info import Silent
from tidewire.monitoring.connection_routes import json_answer
from tidewire.monitoring.dashboard_model import FIGURES_MAX, RANGES_S, WIDGETS_MAX, Figure, figure_problems
from tidewire.monitoring.dashboard_routes import Reader
from tidewire.monitoring.figure_series import STEP_S, Remembered, Series, series_of, times_of


class Memory(msgspec.Struct, frozen=True):
    """What the nodes that answered remember of some figures.

    Attributes:
        nodes: Name of each beside what it remembers.
        cut_off: Why this node hears no other one at all; empty if it does.
    """

    nodes: list[tuple[str, Remembered]]
    silent: list[Silent]
    cut_off: str


# Asks all nodes what they remember of the named figures, so many seconds back.
Recall = Callable[[Collection[str], float], Awaitable[Memory]]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that can be chosen."""

    name: str
    kind: str
    unit: str
    help: str
    total: str


class FiguresBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wanted.

    Attributes:
        since: Only what came after, Unix seconds; 0 for the whole range.
        node: Only this node's; empty for all.
    """

    figures: Annotated[list[Figure], msgspec.Meta(min_length=1, max_length=WIDGETS_MAX * FIGURES_MAX)]
    range_s: int
    since: float = 0.0
    node: Annotated[str, msgspec.Meta(max_length=200)] = ""


class FiguresAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The lines, one for each figure in the order asked for.

    Attributes:
        times: Unix seconds, oldest first, ``step_s`` apart where nothing is missing.
        nodes: Who is in the lines.
        complete: Every node has answered.
        at: When this was so, Unix seconds.
    """

    times: list[float]
    series: list[Series]
    step_s: float
    nodes: list[str]
    complete: bool
    silent: list[Silent]
    cut_off: str
    at: float


class MetricsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that can be chosen, by name."""

    metrics: list[Metric]


def figure_router(
    recall: Recall, catalogue: Callable[[], Collection[Metric]], now: Callable[[], float] = time.time
) -> APIRouter:
    """Return the routes.

    Args:
        recall: Asks all nodes.
        catalogue: Returns the figures that there are.
        now: Tells the time, Unix seconds.
    """
    router = APIRouter(prefix="/api/v1/admin/figures", tags=["admin"])

    @router.get("", summary="The figures that a dashboard can show")
    def metrics(_: Reader) -> Response:
        return json_answer(MetricsAnswer(metrics=sorted(catalogue(), key=lambda metric: metric.name)))

    @router.post("", summary="What figures were over the last minutes, over all nodes or one")
    async def figures(request: Request, _: Reader) -> Response:
        """Also those that a dashboard has and no node measures any more: their line is empty and says so."""
        body = _read(await request.body())
        wanted = body.figures if body.node else [_counted_once(figure) for figure in body.figures]
        memory = await recall({figure.metric for figure in wanted}, float(body.range_s))
        chosen = [(name, node) for name, node in memory.nodes if not body.node or name == body.node]
        nodes = [node for _, node in chosen]
        times = times_of(nodes)
        first = next((i for i, at in enumerate(times) if at > body.since), len(times))
        return json_answer(
            FiguresAnswer(
                times=times[first:],
                series=[
                    Series(line.values[first:], line.lines)
                    for line in (series_of(figure, nodes, times) for figure in wanted)
                ],
                step_s=STEP_S,
                nodes=sorted({name for name, _ in chosen}),
                complete=not memory.silent and not memory.cut_off,
                silent=memory.silent,
                cut_off=memory.cut_off,
                at=now(),
            )
        )

    return router


def _counted_once(figure: Figure) -> Figure:
    """Return what a sum over all nodes means: of what may be on several of them, each once."""
    if figure.total != "sum" or figure.metric not in COUNTED_ONCE:
        return figure
    return msgspec.structs.replace(figure, metric=COUNTED_ONCE[figure.metric], total="max")


def _read(raw: bytes) -> FiguresBody:
    """Read the body. Raises InvalidRequest."""
    try:
        body = msgspec.json.decode(raw, type=FiguresBody)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"These are no figures: {exc}"[:300],
            required_action="Send figures, range_s, since and node as docs/operations.md describes them.",
            will_not="Tidewire will not guess what was meant.",
        ) from exc
    problems = {
        f"figures.{i}{part}": text for i, figure in enumerate(body.figures) for part, text in figure_problems(figure)
    }
    if body.range_s not in RANGES_S:
        problems["range_s"] = f"The range is one of {', '.join(map(str, RANGES_S))} seconds."
    if problems:
        raise InvalidFields(problems, {name: {"code": "cannot_be"} for name in problems})
    return body
