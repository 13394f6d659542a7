"""Events to ticks: order, duplicates, corrections, ownership."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.core.market import Tick
from tidewire.feed.intake import Intake
from tidewire.feed.line_metrics import LineMetrics
from tidewire.feed.massive import Event, FairValue, MinuteBar, Quote, SecondBar, Trade

T_MS = 1_700_000_000_000.0
DAY_MS = 86_400_000.0


def take(intake: Intake, *events: Event, metrics: LineMetrics | None = None, line: str = "connection_1") -> list[Tick]:
    """Feed one frame, numbered 7, read 250 ms after T_MS."""
    return intake.take(
        line,
        metrics if metrics is not None else LineMetrics(),
        list(events),
        frame=7,
        received=T_MS / 1000 + 0.25,
        published=T_MS / 1000 + 0.26,
        now=5.0,
    )


def test_a_new_day_starts_the_sequence_anew() -> None:
    """A number that was there is new on the next New York day; on the same day it is late or a duplicate."""
    intake, metrics = Intake({}), LineMetrics()
    assert take(intake, Trade("A", 1.0, T_MS, q=900), metrics=metrics)
    assert not take(intake, Trade("A", 1.0, T_MS + 500, q=5), metrics=metrics)
    assert not take(intake, Trade("A", 1.0, T_MS + 5_000, q=900), metrics=metrics)
    assert take(intake, Trade("A", 1.0, T_MS + DAY_MS, q=900), metrics=metrics)
    assert (metrics.out_of_order, metrics.duplicates) == (1, 1)


def test_a_venue_that_restarts_is_heard() -> None:
    """Numbers that start again within the day, on younger trades, are a new count, not late trades."""
    intake, metrics = Intake({}), LineMetrics()
    assert take(intake, Trade("A", 1.0, T_MS, q=900), metrics=metrics)
    assert take(intake, Trade("A", 1.0, T_MS + 2_000, q=1), metrics=metrics)
    assert take(intake, Trade("A", 1.0, T_MS + 2_001, q=2), metrics=metrics)
    assert (metrics.out_of_order, metrics.duplicates) == (0, 0)


def test_no_sequence_number_no_check() -> None:
    """Trades without a number are all published."""
    assert len(take(Intake({}), Trade("A", 1.0, T_MS), Trade("A", 1.0, T_MS))) == 2


def test_bars_are_upserted() -> None:
    """The same bar is dropped, a changed one is a correction, an older one is counted and not published."""
    intake, metrics = Intake({}), LineMetrics()
    bar = SecondBar("A", 10.0, T_MS, T_MS + 1000, v=5.0, dv=5.5)
    (tick,) = take(intake, bar, metrics=metrics)
    assert (tick.price, tick.volume, tick.timestamp, tick.event) == (10.0, 5.5, T_MS / 1000 + 1, "A")
    assert take(intake, bar, metrics=metrics) == []
    assert len(take(intake, SecondBar("A", 11.0, T_MS, T_MS + 1000), metrics=metrics)) == 1
    assert take(intake, SecondBar("A", 9.0, T_MS - 1000, T_MS), metrics=metrics) == []
    assert len(take(intake, MinuteBar("A", 9.0, T_MS, T_MS + 60_000), metrics=metrics)) == 1
    assert (metrics.duplicates, metrics.corrections) == (1, 2)


def test_what_is_not_published() -> None:
    """Quotes and fair values make no ticks, but a quote is a latency sample."""
    metrics = LineMetrics()
    assert take(Intake({}), FairValue("A", 1.0, T_MS), Quote("A", T_MS), metrics=metrics) == []
    assert metrics.percentiles(5.0).p50 == 250


def test_the_owner_is_the_assignments() -> None:
    """A ticker received on another line keeps its owner and points to no frame; an unowned one has none."""
    intake = Intake({"A": "connection_2", "B": "connection_1"})
    ticks = take(intake, Trade("A", 1.0, T_MS), Trade("B", 1.0, T_MS), Trade("C", 1.0, T_MS))
    assert [(tick.connection_id, tick.frame) for tick in ticks] == [("connection_2", 0), ("connection_1", 7), (None, 0)]
    assert intake.unassigned == 1


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(1, 12)), max_size=40))
def test_each_trade_at_most_once_and_in_order(trades: list[tuple[str, int]]) -> None:
    """Published sequence numbers rise strictly per symbol; every trade is published, duplicate or out of order."""
    intake, metrics = Intake({}), LineMetrics()
    events = [Trade(symbol, float(q), T_MS, q=q) for symbol, q in trades]
    ticks = [tick for event in events for tick in take(intake, event, metrics=metrics)]
    assert len(ticks) + metrics.duplicates + metrics.out_of_order == len(events)
    for symbol in "AB":
        numbers = [tick.price for tick in ticks if tick.symbol == symbol]
        assert numbers == sorted(set(numbers))
        best = [q for name, q in trades if name == symbol]
        assert not best or numbers[-1] == max(best)
