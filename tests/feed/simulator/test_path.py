"""The bridge: whatever the bar, the moments and the chance, a finished day is exactly its bar."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.feed.simulator.path import CENT, MIN_VOLUME, DailyBar, DayPath, volume_share

prices = st.integers(min_value=CENT, max_value=10_000_000)


@st.composite
def bars(draw: st.DrawFn) -> DailyBar:
    """Any bar that a day can be."""
    low, *middle, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    opened, closed = draw(st.permutations(middle))
    return DailyBar("day", opened, high, low, closed, draw(st.integers(MIN_VOLUME, 600_000_000)))


def finish(bar: DailyBar, moments: list[float], seed: int) -> list[tuple[int, int]]:
    """Trade at the moments, then after the end until the close is printed."""
    path = DayPath(bar, random.Random(seed).random)
    trades = [path.print(at) for at in sorted(moments)]
    while not path.finished:
        trades.append(path.print(1.0))
    return [trade for trade in trades if trade is not None]


@settings(max_examples=150, deadline=None)
@given(bars(), st.lists(st.floats(0.0, 0.999), max_size=200), st.integers(0, 2**32))
def test_a_finished_day_is_its_bar(bar: DailyBar, moments: list[float], seed: int) -> None:
    """First price is the open, last the close, extremes the high and low, and the sizes add up to the volume."""
    trades = finish(bar, moments, seed)
    traded = [price for price, _ in trades]
    assert (traded[0], max(traded), min(traded), traded[-1]) == (bar.open, bar.high, bar.low, bar.close)
    assert sum(size for _, size in trades) == bar.volume
    assert all(size >= 1 for _, size in trades)


@settings(max_examples=30, deadline=None)
@given(bars(), st.lists(st.floats(0.0, 0.999), max_size=50), st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_day(bar: DailyBar, moments: list[float], seed: int) -> None:
    """Chance is an argument, so a day can be played again."""
    assert finish(bar, moments, seed) == finish(bar, moments, seed)


def test_volume_is_u_shaped_and_complete() -> None:
    """The first and the last tenth of the day trade more than the middle one, and the whole is the whole."""
    first, middle, last = (volume_share(at + 0.1) - volume_share(at) for at in (0.0, 0.45, 0.9))
    assert first > 2 * middle
    assert last > 2 * middle
    assert (volume_share(0.0), volume_share(1.0)) == (0.0, 1.0)


def test_a_day_out_of_shares_waits_for_its_pinned_prints() -> None:
    """A trade that would take a share kept for high, low or close is not made."""
    bar = DailyBar("day", 10_000, 20_000, 5_000, 10_100, MIN_VOLUME)
    path = DayPath(bar, random.Random(1).random)
    assert path.print(0.0) == (10_000, 1)
    assert path.print(0.0) is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [((100, 90, 80, 100, 9), "order"), ((100, 110, 105, 100, 9), "order"), ((1, 1, 1, 1, 9), "order"),
     ((100, 100, 100, 100, 3), "volume")],
)  # fmt: skip
def test_an_impossible_bar_is_refused(values: tuple[int, int, int, int, int], reason: str) -> None:
    """A high below the close, a low above the open, a price below one cent or no volume is no bar."""
    with pytest.raises(ValueError, match=reason):
        DailyBar("day", *values)
