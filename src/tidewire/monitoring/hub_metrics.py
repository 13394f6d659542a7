"""Prometheus metrics of the hub, made at scrape time from its own counters. It must not keep counters of its own.

Source: Prometheus manual, "Metric and label naming".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidewire.hub.tally import HubStatistics

_GAUGES = {
    "connections": "Client connections now",
    "users": "Users with at least one connection now",
    "rooms": "Rooms that exist now",
    "outbox_bytes": "Bytes held back for slow readers now",
    "outbox_peak_bytes": "Most bytes held back at once since start",
    "tasks": "Requests of clients that wait for something now",
}
_COUNTERS = {
    "opened": "Client connections that have been accepted",
    "published": "Messages published to rooms",
    "delivered": "Messages handed to members of rooms",
    "replaced": "Messages to slow readers that a newer one of the same key replaced",
    "dropped": "Volatile messages to slow readers that were dropped",
    "given_up": "Messages to slow readers that were given up, told as gaps",
}


class HubCollector(Collector):
    """Turns the hub's counters into metrics.

    Args:
        statistics: Returns the hub's counters.
        refused: Returns how many handshakes were refused, by HTTP status.
        counters: Further counters: full metric name without ``tidewire_`` and ``_total`` -> its value.
        groups: Name without ``tidewire_`` -> figures of one part; shown as gauges ``{name}_{figure}``.
    """

    def __init__(
        self,
        *,
        statistics: Callable[[], HubStatistics],
        refused: Callable[[], Mapping[int, int]],
        counters: Mapping[str, Callable[[], float]],
        groups: Mapping[str, Callable[[], Mapping[str, float]]],
    ) -> None:
        self._statistics = statistics
        self._refused = refused
        self._counters = counters
        self._groups = groups

    def collect(self) -> Iterable[Metric]:
        """Yield every metric; called by the registry at each scrape."""
        now = self._statistics()
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"tidewire_hub_{name}", text, value=getattr(now, name))
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"tidewire_hub_{name}", text, value=getattr(now, name))
        # 4003 (slow consumer) is there from the beginning, so that "none" can be told from "not known".
        closed = {"4003": 0, **now.closed_by_code}
        yield _labelled("hub_closed", "Connections that ended, by close code", "code", closed)
        yield _labelled("hub_failures", "Faults of Tidewire's own, by place", "place", now.failures)
        refused = {str(status): count for status, count in self._refused().items()}
        yield _labelled("hub_refused", "Handshakes refused, by HTTP status", "status", refused)
        for name, value in self._counters.items():
            yield CounterMetricFamily(f"tidewire_{name}", name.replace("_", " "), value=value())
        for group, figures in self._groups.items():
            for name, figure in figures().items():
                yield GaugeMetricFamily(f"tidewire_{group}_{name}", f"{group}: {name}".replace("_", " "), value=figure)


def _labelled(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    metric = CounterMetricFamily(f"tidewire_{name}", text, labels=[label])
    for value, count in values.items():
        metric.add_metric([value], count)
    return metric
