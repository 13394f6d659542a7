"""The same figure of several nodes side by side, with its rate and what all of them come to. Pure.

Values stand in the order of the nodes; null is a node that does not have the figure. It must not know rooms or HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tidewire.core.sample import COUNTED_ONCE, Labels
from tidewire.vitals.catalogue import Metric, Total, metrics_of
from tidewire.vitals.groups import counts_failures
from tidewire.vitals.reading import NodeIncrease, NodeVitals

# The last half minute: short enough to follow what happens, long enough not to jump.
RATE_OVER_S = 30.0
# Over the labels of one node, what is to be counted once is there once.
_TOTALS: dict[Total, Callable[[list[float]], float]] = {"sum": sum, "max": max, "min": min, "once": sum}


class NodeAge(msgspec.Struct, frozen=True, kw_only=True):
    """Whose figures these are and how old.

    Attributes:
        at: When they were measured, by that node's clock.
        age_s: How old they were when the node answered.
        trouble: Why there is nothing newer; empty if all is well.
    """

    node: str
    instance: str
    at: float
    age_s: float
    stale: bool
    trouble: str


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure of every node, and in total.

    Attributes:
        per_second: How fast it rises, mean of the last half minute; absent for what goes up and down.
        total_by: How the total comes about; absent: as a sum.
    """

    name: str
    values: list[float | None]
    total: float | None
    labels: dict[str, str] = {}
    per_second: list[float | None] | None = None
    total_per_second: float | None = None
    total_by: Total = "sum"


def age_of(node: NodeVitals) -> NodeAge:
    """Return how old a node's figures are."""
    age_s = round(node.age_s, 3)
    return NodeAge(
        node=node.node,
        instance=node.instance,
        at=node.at,
        age_s=age_s,
        stale=node.stale or not node.samples,
        trouble=node.trouble,
    )


def rises(name: str, known: Mapping[str, Metric]) -> bool:
    """Whether a rate can be told: what is counted, and what only rises with failures."""
    metric = known.get(name)
    return counts_failures(name) or (metric is not None and metric.kind == "counter")


def figures_of(
    nodes: Sequence[NodeVitals],
    increases: Sequence[NodeIncrease],
    known: Mapping[str, Metric],
    wanted: Callable[[str], bool],
) -> list[Figure]:
    """Return every wanted figure that any node has, in the order of the first node that has it."""
    values: dict[tuple[str, Labels], list[float | None]] = {}
    for index, node in enumerate(nodes):
        for sample in node.samples:
            if wanted(sample.name):
                values.setdefault((sample.name, sample.labels), [None] * len(nodes))[index] = sample.value
    rates = _rates(nodes, increases)
    return [_figure(key, each, rates.get(key), known.get(key[0]), nodes) for key, each in values.items()]


def total_of(values: Sequence[float | None], total: Total) -> float | None:
    """Return what the figures of several nodes come to; None if none has it."""
    there = [value for value in values if value is not None]
    return _TOTALS[total](there) if there else None


def counted_once(name: str, nodes: Sequence[NodeVitals]) -> float | None:
    """Return how many there are on all nodes; None if no node knows."""
    wanted = COUNTED_ONCE[name]
    # Nodes agree but for what is on its way between them.
    return max((each.value for node in nodes for each in node.samples if each.name == wanted), default=None)


def _rates(
    nodes: Sequence[NodeVitals], increases: Sequence[NodeIncrease]
) -> dict[tuple[str, Labels], list[float | None]]:
    places = {node.instance: index for index, node in enumerate(nodes)}
    rates: dict[tuple[str, Labels], list[float | None]] = {}
    for each in increases:
        index = places.get(each.instance)
        if index is None or each.seconds <= 0:
            continue
        for rise in each.rises:
            rates.setdefault((rise.name, rise.labels), [None] * len(nodes))[index] = rise.value / each.seconds
    return rates


def _figure(
    key: tuple[str, Labels],
    values: list[float | None],
    rates: list[float | None] | None,
    metric: Metric | None,
    nodes: Sequence[NodeVitals],
) -> Figure:
    name, labels = key
    by = (metric or metrics_of(name, "gauge", "")[0]).total
    return Figure(
        name=name,
        labels=dict(labels),
        values=values,
        total=counted_once(name, nodes) if by == "once" else total_of(values, by),
        per_second=rates,
        total_per_second=None if rates is None else total_of(rates, by),
        total_by=by,
    )
