"""Prometheus metrics made at scrape time from the snapshots that the pages show. It must not keep counters of its own.

Names: ``tidewire_*`` with base units (seconds, bytes), counters end in ``_total``.
Source: Prometheus manual, "Metric and label naming", "Writing exporters".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidewire.bus.base import BusStatus
from tidewire.core.feed_status import FeedStatus, LineHealth

# LineHealth field -> (metric name without prefix, what it is, is it a counter)
_LINE_FIELDS: dict[str, tuple[str, str, bool]] = {
    "message_count": ("messages", "Events received from the venue", True),
    "byte_count": ("received_bytes", "Bytes received from the venue", True),
    "frame_count": ("frames", "Frames received from the venue", True),
    "error_count": ("errors", "Errors of any kind on the line", True),
    "parse_errors": ("parse_errors", "Events or frames that could not be understood", True),
    "reconnects": ("reconnects", "Times the line was connected again", True),
    "gaps": ("gaps", "Breaks during which events may have been missed", True),
    "duplicates": ("duplicates", "Events received twice and dropped", True),
    "out_of_order": ("out_of_order", "Events older than one already seen, dropped", True),
    "corrections": ("corrections", "Bars sent again with other values", True),
    "dropped": ("dropped", "Ticks dropped by overflow policy", True),
    "messages_per_second": ("messages_per_second", "Events per second over the sliding window", False),
    "bytes_per_second": ("bytes_per_second", "Bytes per second over the sliding window", False),
    "uptime_seconds": ("uptime_seconds", "Time since the line became connected", False),
    "assigned_tickers": ("assigned_tickers", "Tickers assigned to the line", False),
    "queue_depth": ("queue_depth", "Received, not yet handed on", False),
}


class StatusCollector(Collector):
    """Turns the last known statuses into metrics.

    Args:
        feed: Returns the last FeedStatus, or None while the feed has said nothing.
        bus: Returns the bus status.
        responses: Returns how many HTTP answers each status code has had.
        counters: Returns further counters by full metric name without ``tidewire_`` and ``_total``.
        gauges: Returns further gauges by full metric name without ``tidewire_``.
    """

    def __init__(
        self,
        *,
        feed: Callable[[], FeedStatus | None],
        bus: Callable[[], BusStatus],
        responses: Callable[[], Mapping[int, int]],
        counters: Callable[[], Mapping[str, float]],
        gauges: Callable[[], Mapping[str, float]],
    ) -> None:
        self._feed = feed
        self._bus = bus
        self._responses = responses
        self._counters = counters
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Yield every metric; called by the registry at each scrape."""
        yield from _bus_metrics(self._bus())
        answered = CounterMetricFamily("tidewire_http_responses", "HTTP answers by status code", labels=["status"])
        # 500 is there from the beginning, so that "none" can be told from "not known".
        for status_code, count in {500: 0, **self._responses()}.items():
            answered.add_metric([str(status_code)], count)
        yield answered
        for name, value in self._counters().items():
            yield CounterMetricFamily(f"tidewire_{name}", name.replace("_", " "), value=value)
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(f"tidewire_{name}", name.replace("_", " "), value=value)
        status = self._feed()
        yield GaugeMetricFamily("tidewire_feed_known", "1 once the feed has reported", value=float(status is not None))
        # Names are known before the first figure, so that rules and charts can be made of them at any time.
        yield from _feed_metrics(status)


class NodeCollector(Collector):
    """Says whose metrics these are: behind a shared port each scrape may meet another process."""

    def __init__(self, node: str) -> None:
        self._node = node

    def collect(self) -> Iterable[Metric]:
        """Yield one metric whose label is the node's name."""
        info = GaugeMetricFamily("tidewire_node_info", "1; the label names the process", labels=["node"])
        info.add_metric([self._node], 1.0)
        yield info


class FeedSideCollector(Collector):
    """Metrics of a process that runs the feed, leading or waiting.

    Args:
        statistics: Returns its figures.
        bus: Returns the bus status, unless another collector of the process shows it.
    """

    def __init__(self, statistics: Callable[[], Mapping[str, int]], bus: Callable[[], BusStatus] | None = None) -> None:
        self._statistics = statistics
        self._bus = bus

    def collect(self) -> Iterable[Metric]:
        """Yield every metric."""
        if self._bus is not None:
            yield from _bus_metrics(self._bus())
        for name, value in self._statistics().items():
            yield GaugeMetricFamily(f"tidewire_feed_{name}", f"Feed: {name}".replace("_", " "), value=value)


class PlaceCollector(Collector):
    """Metrics of a supervisor: one series for each process it keeps.

    Args:
        facts: Returns ``name``, ``role``, ``state``, ``restarts`` of each.
    """

    def __init__(self, facts: Callable[[], Sequence[Mapping[str, Any]]]) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """Yield every metric."""
        labels = ["worker", "role"]
        up = GaugeMetricFamily("tidewire_worker_up", "1 while the process serves", labels=labels)
        looping = GaugeMetricFamily("tidewire_worker_crash_loop", "1 while it ends again and again", labels=labels)
        restarts = CounterMetricFamily("tidewire_worker_restarts", "Starts after unwanted ends", labels=labels)
        for fact in self._facts():
            who = [fact["name"], fact["role"]]
            up.add_metric(who, float(fact["state"] == "ready"))
            looping.add_metric(who, float(fact["state"] == "looping" or fact["looping"]))
            restarts.add_metric(who, fact["restarts"])
        yield from (up, looping, restarts)


def new_registry(collector: Collector) -> CollectorRegistry:
    """Return a registry with ``collector`` and the process, platform and garbage-collector metrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _bus_metrics(status: BusStatus) -> Iterator[Metric]:
    yield GaugeMetricFamily("tidewire_bus_up", "1 while the bus takes messages", value=float(status.state != "down"))
    degraded = float(status.state == "degraded")
    yield GaugeMetricFamily("tidewire_bus_degraded", "1 while the bus works, but badly", value=degraded)
    round_trip_s = None if status.rtt_ms is None else status.rtt_ms / 1000
    yield _maybe(GaugeMetricFamily, "bus_round_trip_seconds", "Last round trip to the broker", round_trip_s)
    for name in ("published", "delivered", "refused", "callback_errors", "reconnects", "lost", "unconfirmed", "gaps"):
        yield CounterMetricFamily(f"tidewire_bus_{name}", f"Bus: {name}", value=getattr(status, name))
    if status.shards:
        up = GaugeMetricFamily("tidewire_bus_shard_up", "1 while the shard takes messages", labels=["shard"])
        for shard in status.shards:
            up.add_metric([shard.endpoint], float(shard.state != "down"))
        yield up
    for name in ("outbox_messages", "outbox_bytes"):
        yield GaugeMetricFamily(f"tidewire_bus_{name}", f"Bus: {name}", value=getattr(status, name))


def _maybe(family: type[GaugeMetricFamily | CounterMetricFamily], name: str, text: str, value: float | None) -> Metric:
    """Return a family with one figure, or with none while that is not known."""
    made = family(f"tidewire_{name}", text)
    if value is not None:
        made.add_metric([], value)
    return made


def _feed_metrics(status: FeedStatus | None) -> Iterator[Metric]:
    at = paused = unassigned = None
    if status is not None:
        at, paused, unassigned = status.timestamp, float(bool(status.paused)), status.unassigned_ticks
    yield _maybe(GaugeMetricFamily, "feed_report_timestamp_seconds", "When the feed last reported", at)
    yield _maybe(GaugeMetricFamily, "feed_paused", "1 while paused by an operator", paused)
    yield _maybe(CounterMetricFamily, "feed_unassigned_ticks", "Ticks of symbols that no line owns", unassigned)
    state = GaugeMetricFamily("tidewire_feed_line_state", "1 for the line's present state", labels=["line", "state"])
    up = GaugeMetricFamily("tidewire_feed_line_up", "1 while the line is connected", labels=["line", "name"])
    # Not the opposite of "up": a line that is disabled is neither.
    down = GaugeMetricFamily("tidewire_feed_line_down", "1 while a line that should be up is not", labels=["line"])
    latency = GaugeMetricFamily(
        "tidewire_feed_line_latency_seconds", "Received minus exchange time", labels=["line", "quantile"]
    )
    connections = {} if status is None else status.connections
    for line, health in connections.items():
        state.add_metric([line, health.state], 1.0)
        up.add_metric([line, health.name], float(health.status == "connected"))
        down.add_metric([line], float(health.enabled and health.status != "connected"))
        for quantile, value_ms in (("0.5", health.latency_ms.p50), ("0.99", health.latency_ms.p99)):
            if value_ms is not None:
                latency.add_metric([line, quantile], value_ms / 1000)
    yield from (state, up, down, latency)
    yield from _line_metrics(connections)


def _line_metrics(connections: Mapping[str, LineHealth]) -> Iterator[Metric]:
    for field, (name, text, is_counter) in _LINE_FIELDS.items():
        family = CounterMetricFamily if is_counter else GaugeMetricFamily
        metric = family(f"tidewire_feed_line_{name}", text, labels=["line"])
        for line, health in connections.items():
            metric.add_metric([line], getattr(health, field))
        yield metric


def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return nested counters under one-level names."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update(flat(f"{prefix}_{name}", value))
        else:
            found[f"{prefix}_{name}"] = float(value)
    return found
