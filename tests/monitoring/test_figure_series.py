"""Figures over time: what several nodes remember becomes one line, with holes where there was no reading."""

from __future__ import annotations

from math import nan

from hypothesis import given
from hypothesis import strategies as st

from tidewire.monitoring.dashboard_model import Figure, Total
from tidewire.monitoring.figure_series import STEP_S, Remembered, Series, series_of, times_of

A = Remembered(
    "a", [100.0, 105.01, 110.0], [("m", (("code", "200"),), [1, 2, 3]), ("m", (("code", "500"),), [0, 0, 5])]
)
B = Remembered("b", [105.0, 109.98, 115.0], [("m", (("code", "200"),), [10, 20, nan]), ("other", (), [7, 7, 7])])


def line(total: Total = "sum", labels: dict[str, str] | None = None, **more: str) -> Series:
    """Return the line of ``m`` over both nodes."""
    figure = Figure("m", labels=labels or {}, total=total, shown="per_second" if more else "value")
    return series_of(figure, [A, B], times_of([A, B]))


def test_readings_of_one_step_belong_together() -> None:
    """Clocks that differ by a little do not make a step of their own; a step without a reading has no value."""
    assert times_of([A, B]) == [100.0, 105.0, 110.0, 115.0]
    assert line() == Series([1, 12, 28, None], 3)


def test_totals_are_over_nodes_and_labels() -> None:
    """Highest, lowest and mean of those that are there; labels choose some of them."""
    assert line("max").values == [1, 10, 20, None]
    assert line("min").values == [0, 0, 3, None]
    assert line("mean").values == [0.5, 4, 28 / 3, None]
    assert line(labels={"code": "500"}) == Series([0, 0, 5, None], 1)
    assert line(labels={"code": "404"}) == Series([None] * 4, 0)


def test_a_counter_that_began_anew_has_risen_by_what_it_shows() -> None:
    """A restart is no fall, and over a hole nothing is known."""
    node = Remembered("a", [0.0, 5.0, 10.0, 20.0, 25.0], [("m", (), [100, 110, 5, 30, nan])])
    rates = series_of(Figure("m", shown="per_second"), [node], times_of([node]))
    assert rates.values == [None, 2.0, 1.0, None, None]


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=20), min_size=1, max_size=4))
def test_the_rise_of_the_sum_is_the_sum_of_the_rises(nodes: list[list[int]]) -> None:
    """What each node counted is in the line, once: summed over its steps it is the truth."""
    remembered, truth = [], 0
    for number, steps in enumerate(nodes):
        counts = [sum(steps[: i + 1]) for i in range(len(steps))]
        truth += counts[-1] - counts[0]
        remembered.append(Remembered(str(number), [i * STEP_S for i in range(len(steps))], [("m", (), counts)]))
    rates = series_of(Figure("m", shown="per_second"), remembered, times_of(remembered))
    assert round(sum(value or 0 for value in rates.values) * STEP_S, 6) == truth
