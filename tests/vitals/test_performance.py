"""Performance over several nodes: percentiles of all values, rates of what was counted, totals by the metric's rule."""

from __future__ import annotations

import pytest

from tidewire.core.histogram import Histogram
from tidewire.core.sample import Sample
from tidewire.vitals.catalogue import Metric, metrics_of
from tidewire.vitals.figures import age_of, figures_of
from tidewire.vitals.performance import choices, counters_of, performance_of
from tidewire.vitals.reading import NodeHistory, NodeIncrease, NodeVitals
from tidewire.vitals.ring import Line
from tidewire.vitals.trend import trend_of

KNOWN = {
    each.name: each
    for family, kind in (
        ("tidewire_x_seconds", "histogram"),
        ("tidewire_http_responses", "counter"),
        ("tidewire_feed_line_messages", "counter"),
        ("tidewire_hub_users", "gauge"),
        ("tidewire_hub_connections", "gauge"),
        ("tidewire_bus_up", "gauge"),
        ("tidewire_event_loop_lag_recent_seconds", "gauge"),
    )
    for each in metrics_of(family, kind, "")
}


def metric(name: str) -> Metric:
    """Return what can be asked for by that name."""
    return choices(KNOWN)[name]


def rises(values: list[float], **labels: str) -> list[Sample]:
    """Return what a histogram of these values has risen by."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    common = tuple(sorted(labels.items()))
    return [
        *(
            Sample("tidewire_x_seconds_bucket", count, tuple(sorted((*common, ("le", bound)))))
            for bound, count in histogram.buckets()
        ),
        Sample("tidewire_x_seconds_sum", histogram.sum, common),
        Sample("tidewire_x_seconds_count", histogram.count, common),
    ]


def vitals(node: str, *samples: Sample) -> NodeVitals:
    """Return a node with these figures."""
    return NodeVitals(node, f"{node}:1", 1_700_000_000.0, list(samples))


NODES = [vitals("a", Sample("tidewire_hub_users", 3.0)), vitals("b", Sample("tidewire_hub_users", 4.0))]


def test_percentiles_are_those_of_all_nodes_values() -> None:
    """Not a mean of percentiles: the buckets of both are one histogram; by route, by node and in all."""
    parts = [
        NodeIncrease("a", "a:1", 10.0, rises([0.004] * 90, route="/r")),
        NodeIncrease("b", "b:1", 10.0, rises([4.0] * 10, route="/r") + rises([0.02], route="/s")),
    ]
    found = performance_of("tidewire_x_seconds", metric("tidewire_x_seconds"), NODES, parts)
    (r, s) = found.series
    assert (r.labels, r.count, r.per_second) == ({"route": "/r"}, 100.0, 10.0)
    assert r.p50 == pytest.approx(0.0025 + 0.0025 * 50 / 90)
    assert r.p95 == pytest.approx(2.5 + 2.5 * 5 / 10)
    assert r.mean == pytest.approx((90 * 0.004 + 10 * 4.0) / 100)
    assert (s.labels, s.count) == ({"route": "/s"}, 1.0)
    assert [node.count for node in found.nodes] == [90.0, 11.0]
    assert found.total.count == 101.0
    assert found.total.beyond == []


def test_what_is_beyond_the_last_bucket_says_so() -> None:
    """A p99 of half a minute is told as greater than ten seconds."""
    part = NodeIncrease("a", "a:1", 10.0, rises([30.0]))
    found = performance_of("tidewire_x_seconds", metric("tidewire_x_seconds"), NODES[:1], [part])
    assert (found.total.p99, found.total.beyond) == (10.0, ["p50", "p95", "p99"])


def test_without_values_there_are_no_percentiles() -> None:
    """An idle metric has a count of zero and nothing else; a node that did not tell has none."""
    part = NodeIncrease("a", "a:1", 10.0, rises([]))
    found = performance_of("tidewire_x_seconds", metric("tidewire_x_seconds"), NODES, [part])
    assert (found.total.count, found.total.p50, found.nodes[1].count) == (0.0, None, 0.0)


def test_counters_add_up_and_far_ones_do_not() -> None:
    """What each node counts is a sum; what the feed told every node is the same figure, not twice as much."""
    name = "tidewire_http_responses_total"
    parts = [
        NodeIncrease("a", "a:1", 10.0, [Sample(name, 5.0, (("status", "500"),))]),
        NodeIncrease("b", "b:1", 10.0, [Sample(name, 7.0, (("status", "500"),)), Sample(name, 1.0)]),
    ]
    found = performance_of(name, metric(name), NODES, parts)
    assert (found.total.count, found.total.per_second) == (13.0, 1.3)
    assert found.series[0].count == 12.0
    name = "tidewire_feed_line_messages_total"
    parts = [NodeIncrease(node, f"{node}:1", 10.0, [Sample(name, 50.0, (("line", "1"),))]) for node in "ab"]
    assert performance_of(name, metric(name), NODES, parts).total.count == 50.0


def test_gauges_are_totalled_by_their_rule() -> None:
    """Connections add up; of whether it is up the worst counts, of delays the longest."""
    open_ones = [
        vitals("a", Sample("tidewire_hub_connections", 3.0)),
        vitals("b", Sample("tidewire_hub_connections", 4.0)),
    ]
    known = metric("tidewire_hub_connections")
    assert performance_of("tidewire_hub_connections", known, open_ones, []).total.value == 7.0
    up = [vitals("a", Sample("tidewire_bus_up", 1.0)), vitals("b", Sample("tidewire_bus_up", 0.0))]
    assert performance_of("tidewire_bus_up", metric("tidewire_bus_up"), up, []).total.value == 0.0
    lag = "tidewire_event_loop_lag_recent_seconds"
    late = [vitals("a", Sample(lag, 0.5)), vitals("b", Sample(lag, 0.1))]
    assert performance_of(lag, metric(lag), late, []).total.value == 0.5


def test_users_of_all_nodes_are_counted_once_or_not_known() -> None:
    """Three and four users are five if two are on both nodes, as nodes say; none says: nobody knows, and no sum."""
    name = "tidewire_hub_users"
    known = performance_of(name, metric(name), [*NODES, vitals("c", Sample("tidewire_cluster_users", 5.0))], [])
    assert (known.total.value, [node.value for node in known.nodes]) == (5.0, [3.0, 4.0, None])
    assert known.series[0].value == 5.0
    assert performance_of(name, metric(name), NODES, []).total.value is None


def test_what_can_be_asked_for_is_families_and_figures() -> None:
    """Nobody asks for a bucket; a family stands for all its parts."""
    assert set(choices(KNOWN)) == {
        "tidewire_x_seconds", "tidewire_http_responses_total", "tidewire_feed_line_messages_total",
        "tidewire_hub_users", "tidewire_hub_connections", "tidewire_bus_up", "tidewire_event_loop_lag_recent_seconds",
    }  # fmt: skip
    names = counters_of(["tidewire_x_seconds", "tidewire_hub_users", "nothing"], choices(KNOWN))
    assert names == [f"tidewire_x_seconds{part}" for part in ("_bucket", "_count", "_sum")]


def test_figures_stand_in_the_order_of_the_nodes() -> None:
    """A node that lacks a figure has a hole, not a zero; rates are of those that told."""
    nodes = [vitals("a"), vitals("b", Sample("tidewire_http_responses_total", 9.0))]
    parts = [NodeIncrease("b", "b:1", 4.0, [Sample("tidewire_http_responses_total", 2.0)])]
    (figure,) = figures_of(nodes, parts, KNOWN, lambda name: True)
    assert (figure.values, figure.total) == ([None, 9.0], 9.0)
    assert (figure.per_second, figure.total_per_second) == ([None, 0.5], 0.5)


def test_a_node_without_a_reading_is_stale() -> None:
    """No figures are not fresh figures, whatever the age says; neither are old ones."""
    assert age_of(vitals("a")).stale
    fresh = NodeVitals("a", "a:1", 0.0, [Sample("x", 1.0)], age_s=1.0)
    assert not age_of(fresh).stale
    assert age_of(NodeVitals("a", "a:1", 0.0, [Sample("x", 1.0)], age_s=16.0)).stale


def test_a_trend_is_made_of_what_rose_in_its_steps() -> None:
    """Two nodes that read at different moments: each step holds the values of both, and nothing of before."""

    def line(bound: str, values: list[float]) -> Line:
        return Line("x_bucket", (("le", bound),), values)

    a = NodeHistory("a", "a:1", [100.0, 107.0, 114.0, 121.0], [
        line("1.0", [50.0, 60.0, 60.0, 60.0]), line("+Inf", [50.0, 60.0, 60.0, 70.0]),
    ])  # fmt: skip
    b = NodeHistory("b", "b:1", [103.0, 113.0, 123.0], [line("1.0", [0.0, 0.0, 10.0]), line("+Inf", [0.0, 0.0, 10.0])])
    found = trend_of([a, b], step_s=10.0, look_back=1)
    assert found.times == [120.0, 130.0]
    # 107 falls into the first step, whose beginning nobody saw; in the last one, three seconds old, are ten below
    # a second and ten above.
    assert found.per_second == [0.0, pytest.approx(20 / 3)]
    assert found.percentiles["p50"] == [None, 1.0]
    assert trend_of([]).times == []


def test_a_trend_looks_back_and_not_beyond_its_beginning() -> None:
    """A point holds its step and those before it, but nothing that had been counted before anybody read."""
    lines = [Line("x_bucket", (("le", bound),), [500.0, 510.0, 510.0, 530.0]) for bound in ("1.0", "+Inf")]
    found = trend_of([NodeHistory("a", "a:1", [100.0, 110.0, 120.0, 130.0], lines)], step_s=10.0, look_back=2)
    assert found.times == [120.0, 130.0, 140.0]
    assert found.per_second == [1.0, 0.5, 2.0]
