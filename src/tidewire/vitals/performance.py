"""How fast it is: percentiles, rates and present values of named metrics, over all nodes and for each. Pure.

A histogram is asked for by the name of its family (``tidewire_http_response_seconds``), everything else by the name of
its figure. It must not know rooms or HTTP. Source: Prometheus manual, "histogram_quantile()", "increase()".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tidewire.core.sample import Labels, Sample
from tidewire.vitals.catalogue import Metric
from tidewire.vitals.figures import counted_once, total_of
from tidewire.vitals.percentile import quantile, summed
from tidewire.vitals.reading import NodeIncrease, NodeVitals

# Long enough for a p99 to mean something at one request a second.
WINDOW_S = 300.0
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
DEFAULTS = (
    "tidewire_http_response_seconds",
    "tidewire_quotes_calculation_seconds",
    "tidewire_event_loop_lag_seconds",
    "tidewire_http_responses_total",
    "tidewire_hub_failures_total",
    "tidewire_hub_connections",
    "tidewire_hub_users",
    "tidewire_hub_logins",
)
_PARTS = ("_bucket", "_count", "_sum")


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What there is to say of one series. What does not apply, or is not known, is absent.

    Attributes:
        value: Now; of what goes up and down.
        count: How many there were in the window.
        mean, p50, p95, p99: Of what was measured in the window.
        beyond: Percentiles that are greater than what stands there, and nobody knows by how much.
    """

    labels: dict[str, str] = {}
    value: float | None = None
    count: float | None = None
    per_second: float | None = None
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    beyond: list[str] = []


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """One metric: in all, for each node (in their order), and for each set of labels over all nodes."""

    kind: str
    unit: str
    total: Summary
    nodes: list[Summary]
    series: list[Summary]


def choices(known: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return what can be asked for: histograms by the name of their family, everything else as it is."""
    found: dict[str, Metric] = {}
    for name, metric in known.items():
        if metric.kind != "histogram":
            found[name] = metric
        elif name.endswith("_bucket"):
            found[name.removesuffix("_bucket")] = metric
    return found


def counters_of(wanted: Iterable[str], known: Mapping[str, Metric]) -> list[str]:
    """Return the names of the counters that the wanted metrics are made of."""
    names = list[str]()
    for name, metric in ((name, known[name]) for name in wanted if name in known):
        if metric.kind == "histogram":
            names += [name + part for part in _PARTS]
        elif metric.kind == "counter":
            names.append(name)
    return names


def performance_of(
    name: str, metric: Metric, nodes: Sequence[NodeVitals], increases: Sequence[NodeIncrease]
) -> Performance:
    """Return what there is to say of one metric.

    Args:
        increases: Of the counters that ``counters_of`` names; a node without one is one that has none.
    """
    by_instance = {each.instance: each for each in increases}
    parts = [by_instance.get(node.instance) for node in nodes]
    if metric.kind == "gauge":
        return _gauge(name, metric, nodes)
    summarise = _histogram if metric.kind == "histogram" else _counter
    samples = [_samples(name, part, is_histogram=metric.kind == "histogram") for part in parts]
    seconds = [0.0 if part is None else part.seconds for part in parts]
    longest = max(seconds, default=0.0)
    everything = [sample for each in samples for sample in each]
    if metric.far:
        # Every node was told the same; the one that has heard most knows best.
        everything = max(samples, key=lambda each: sum(sample.value for sample in each), default=[])
    return Performance(
        kind=metric.kind,
        unit=metric.unit,
        total=summarise({}, everything, longest),
        nodes=[summarise({}, each, span) for each, span in zip(samples, seconds, strict=True)],
        series=[summarise(dict(labels), each, longest) for labels, each in _by_labels(everything).items()],
    )


def _samples(name: str, increase: NodeIncrease | None, *, is_histogram: bool) -> list[Sample]:
    names = {name + part for part in _PARTS} if is_histogram else {name}
    return [] if increase is None else [rise for rise in increase.rises if rise.name in names]


def _by_labels(samples: Iterable[Sample]) -> dict[Labels, list[Sample]]:
    found: dict[Labels, list[Sample]] = {}
    for sample in samples:
        labels = tuple(pair for pair in sample.labels if pair[0] != "le")
        found.setdefault(labels, []).append(sample)
    return found


def _histogram(labels: dict[str, str], samples: list[Sample], seconds: float) -> Summary:
    buckets = summed((dict(each.labels)["le"], each.value) for each in samples if each.name.endswith("_bucket"))
    count = buckets[-1][1] if buckets else 0.0
    if not count:
        return Summary(labels=labels, count=0.0, per_second=_rate(0.0, seconds))
    found = {name: quantile(share, buckets) for name, share in PERCENTILES.items()}
    return Summary(
        labels=labels,
        count=count,
        per_second=_rate(count, seconds),
        mean=sum(each.value for each in samples if each.name.endswith("_sum")) / count,
        beyond=[name for name, each in found.items() if each is not None and each.beyond],
        **{name: each.value for name, each in found.items() if each is not None},
    )


def _counter(labels: dict[str, str], samples: list[Sample], seconds: float) -> Summary:
    count = sum(sample.value for sample in samples)
    return Summary(labels=labels, count=count, per_second=_rate(count, seconds))


def _gauge(name: str, metric: Metric, nodes: Sequence[NodeVitals]) -> Performance:
    values: dict[Labels, list[float | None]] = {}
    for index, node in enumerate(nodes):
        for sample in node.samples:
            if sample.name == name:
                values.setdefault(sample.labels, [None] * len(nodes))[index] = sample.value
    by_node = [total_of([line[index] for line in values.values()], metric.total) for index in range(len(nodes))]
    once = metric.total == "once"

    def total(line: list[float | None]) -> Summary:
        return Summary(value=counted_once(name, nodes) if once else total_of(line, metric.total))

    return Performance(
        kind=metric.kind,
        unit=metric.unit,
        total=total(by_node),
        nodes=[Summary(value=value) for value in by_node],
        series=[msgspec.structs.replace(total(line), labels=dict(labels)) for labels, line in values.items()],
    )


def _rate(count: float, seconds: float) -> float | None:
    return count / seconds if seconds > 0 else None
