"""The history ring."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.feed_status import LineHealth, Percentiles
from tidewire.monitoring.history import History, Point, point_of


def rates(history: History, line: str = "connection_1") -> list[object]:
    """Return the kept rates of a line."""
    return [msgspec.json.decode(raw)["messages_per_second"] for raw in history.series()[line].points]


def test_it_begins_with_the_first_second() -> None:
    """The very first record is there to be drawn."""
    history = History()
    assert history.series() == {}
    history.record(100, {"connection_1": Point(messages_per_second=1.0)})
    assert (history.series()["connection_1"].start, rates(history)) == (100, [1.0])


def test_missed_seconds_are_holes_not_lies() -> None:
    """A stall leaves unknown points, so that later ones keep their place in time."""
    history = History()
    history.record(100, {"connection_1": Point(messages_per_second=1.0)})
    history.record(103, {"connection_1": Point(messages_per_second=2.0)})
    assert rates(history) == [1.0, None, None, 2.0]


def test_a_line_that_appears_later_begins_later() -> None:
    """Every line has its own start."""
    history = History()
    history.record(100, {"connection_1": Point()})
    history.record(101, {"connection_1": Point(), "connection_2": Point(messages_per_second=5.0)})
    assert (history.series()["connection_2"].start, rates(history, "connection_2")) == (101, [5.0])


def test_a_line_that_vanishes_ages_out() -> None:
    """It is shown as unknown as long as the ring reaches back, then it is forgotten."""
    history = History(length=3)
    history.record(1, {"connection_1": Point(), "connection_2": Point()})
    for second in (2, 3):
        history.record(second, {"connection_1": Point()})
    assert set(history.series()) == {"connection_1", "connection_2"}
    history.record(4, {"connection_1": Point()})
    assert set(history.series()) == {"connection_1"}


@given(st.lists(st.tuples(st.integers(-3, 6), st.sets(st.sampled_from(["connection_1", "connection_2"]))), max_size=40))
def test_it_is_contiguous_and_bounded(steps: list[tuple[int, set[str]]]) -> None:
    """Whatever the clock does: at most ``length`` points, all series end at the same latest second."""
    history, second, latest = History(length=10), 1_000, 0
    for step, lines in steps:
        second += step
        latest = max(latest, second)
        history.record(second, dict.fromkeys(lines, Point(messages_per_second=float(second))))
        for series in history.series().values():
            assert 1 <= len(series.points) <= 10
            assert series.start + len(series.points) - 1 == latest


def test_a_point_says_what_the_line_says() -> None:
    """Latency in milliseconds, age in seconds and never negative, counters as totals."""
    line = LineHealth(
        name="x", status="connected", enabled=True, latency_ms=Percentiles(1.0, 9.0), last_message_time=10.0, gaps=3
    )
    point = point_of(line, 12.5)
    assert (point.latency_p50, point.latency_p99, point.last_tick_age, point.gaps) == (1.0, 9.0, 2.5, 3)
    assert point_of(line, 9.0).last_tick_age == 0.0
    assert point_of(LineHealth(name="x", status="disconnected", enabled=True), 9.0).last_tick_age is None
