"""Ranges find values, and neither gap nor overlap passes."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.quotes.bands import Bands, Span, faults_of, read_span

# How long one example takes says something about the machine, not about the code.
RELAXED = settings(deadline=None)


@pytest.mark.parametrize(
    ("text", "span"),
    [("16..21", Span(16, 21)), ("3", Span(3, 4)), ("0..0", None), ("5..2", None), ("-1..2", None), ("1.5..2", None),
     ("1..", None), ("..1", None), ("", None), ("1..2..3", None), ("9999999999..1", None), ("١..٢", None)],
)  # fmt: skip
def test_a_range_is_two_whole_numbers_or_one(text: str, span: Span | None) -> None:
    """Anything else is no range, never a guess."""
    assert read_span(text) == span


@RELAXED
@given(st.lists(st.integers(0, 40), min_size=2, max_size=9, unique=True), st.data())
def test_ranges_that_follow_one_another_have_no_fault_and_any_other_does(ends: list[int], data: st.DataObject) -> None:
    """Ranges are without fault exactly if each whole number of the range is in one of them and no other."""
    ends.sort()
    spans = [Span(low, below) for low, below in pairwise(ends)]
    whole = Span(ends[0], ends[-1])
    assert not list(faults_of([(span, str(span)) for span in spans], whole))
    index = data.draw(st.integers(0, len(spans) - 1))
    low = data.draw(st.integers(0, 40))
    spans[index] = Span(low, data.draw(st.integers(low + 1, 42)))
    counts = [sum(value in span for span in spans) for value in range(50)]
    once = all(count == (value in whole) for value, count in enumerate(counts))
    assert once == (not list(faults_of([(span, str(span)) for span in spans], whole)))


def test_a_value_is_in_the_range_that_begins_at_or_below_it() -> None:
    """The low end belongs to a range, the high end to the next, also for cents just below."""
    bands = Bands((Span(0, 10), Span(10, 20)), (Decimal(1), Decimal(2)))
    assert bands.find(Decimal("9.99")) == ("0..10", 1)
    assert bands.find(10) == ("10..20", 2)
    for outside in (Decimal("-0.01"), 20, Decimal(20)):
        with pytest.raises(KeyError):
            bands.find(outside)
