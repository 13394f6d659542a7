"""Metrics show the same figures as the pages, under Prometheus's rules."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tidewire.bus.base import BusStatus
from tidewire.core.feed_status import FeedStatus, LineHealth, Percentiles
from tidewire.core.histogram import Histogram
from tidewire.monitoring.metrics import StatusCollector, new_registry
from tidewire.monitoring.time_metrics import Times, TimesCollector

LINE = LineHealth(
    name="primary",
    status="connected",
    enabled=True,
    state="live",
    message_count=750,
    messages_per_second=25.5,
    latency_ms=Percentiles(p50=3.0, p99=12.0),
)
STATUS = FeedStatus(
    timestamp=1.7e9,
    source="massive",
    total_connections=1,
    connected_count=1,
    total_ticks_received=750,
    total_errors=0,
    unassigned_ticks=4,
    connections={"connection_1": LINE, "connection_2": LineHealth(name="b", status="disabled", enabled=False)},
)


def scrape(status: FeedStatus | None) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Scrape a registry as Prometheus would; return sample values by name and labels."""
    collector = StatusCollector(
        feed=lambda: status,
        bus=lambda: BusStatus(kind="memory", state="up", since=0.0, published=9),
        responses=lambda: {200: 5, 404: 1},
        counters=lambda: {"login_failures": 3},
        gauges=lambda: {"admin_viewers": 2},
    )
    text = generate_latest(new_registry(collector)).decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in samples}


def test_line_figures_are_those_of_the_status() -> None:
    """Counters, rates, latency in seconds and the state of each line."""
    samples = scrape(STATUS)
    line = (("line", "connection_1"),)
    assert samples["tidewire_feed_line_messages_total", line] == 750
    assert samples["tidewire_feed_line_messages_per_second", line] == 25.5
    assert samples["tidewire_feed_line_latency_seconds", (*line, ("quantile", "0.99"))] == 0.012
    assert samples["tidewire_feed_line_up", (("line", "connection_2"), ("name", "b"))] == 0
    assert samples["tidewire_feed_line_state", (*line, ("state", "live"))] == 1
    assert samples["tidewire_feed_unassigned_ticks_total", ()] == 4


def test_platform_figures_are_there_before_the_feed_speaks() -> None:
    """A silent feed is a metric of its own, not an empty page."""
    samples = scrape(None)
    assert samples["tidewire_feed_known", ()] == 0
    assert samples["tidewire_bus_published_total", ()] == 9
    assert samples["tidewire_http_responses_total", (("status", "404"),)] == 1
    assert samples["tidewire_login_failures_total", ()] == 3
    assert samples["tidewire_admin_viewers", ()] == 2


def test_names_are_known_before_the_first_figure() -> None:
    """A rule or a chart can be made of the feed's metrics before the feed has said anything."""
    for status in (None, STATUS):
        collector = StatusCollector(
            feed=lambda status=status: status,
            bus=lambda: BusStatus(kind="memory", state="up", since=0.0),
            responses=dict,
            counters=dict,
            gauges=dict,
        )
        names = {family.name for family in collector.collect()}
        assert {
            "tidewire_feed_line_messages", "tidewire_feed_line_up", "tidewire_feed_report_timestamp_seconds",
            "tidewire_bus_round_trip_seconds",
        } <= names  # fmt: skip


def test_histograms_are_printed_as_prometheus_reads_them() -> None:
    """Cumulative buckets, sum and count, one set for each value of the labels."""
    times = {("GET", "/a"): Histogram((0.1, 1.0)), ("GET", "/b"): Histogram((0.1, 1.0))}
    for value in (0.05, 0.5, 5.0):
        times["GET", "/a"].observe(value)
    collector = TimesCollector([Times("x_seconds", "How long", ("method", "route"), lambda: times)])
    text = generate_latest(new_registry(collector)).decode()
    samples = {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }
    common = (("method", "GET"), ("route", "/a"))
    for bound, count in (("0.1", 1), ("1.0", 2), ("+Inf", 3)):
        assert samples["tidewire_x_seconds_bucket", tuple(sorted((*common, ("le", bound))))] == count
    assert samples["tidewire_x_seconds_sum", common] == 5.55
    assert samples["tidewire_x_seconds_count", (("method", "GET"), ("route", "/b"))] == 0
