"""Filters: what they let through."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring.ticks import Ticks
from tidewire.monitoring.tick_filter import CompiledFilter, Glob, TickFilter


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({}, True),
        ({"symbols": ["aapl"]}, True),
        ({"symbols": ["A*", "X"]}, True),
        ({"symbols": ["X"]}, False),
        ({"types": ["T"]}, True),
        ({"types": ["A", "AM"]}, False),
        ({"text": "connection_1"}, True),
        ({"text": "app"}, False),
        ({"min_change": 0.5}, True),
        ({"min_change": 0.7}, False),
        ({"min_change": 0}, True),
        ({"symbols": ["A*"], "types": ["A"]}, False),
    ],
)
def test_all_given_parts_must_hold(wanted: dict[str, object], passes: bool) -> None:
    """Each part alone decides as documented, and together all must hold."""
    compiled = CompiledFilter(msgspec.convert(wanted, TickFilter))
    assert compiled.passes(Ticks().make("AAPL", change=-0.6)) is passes


def test_a_first_tick_has_no_change_to_be_large_enough() -> None:
    """min_change lets no tick through whose change is unknown, unless it is zero."""
    assert not CompiledFilter(TickFilter(min_change=0.1)).passes(Ticks().make())
    assert CompiledFilter(TickFilter(min_change=0.0)).passes(Ticks().make())


def test_unassigned_can_be_searched_for() -> None:
    """Ticks nobody owns are found under the word that stands for them."""
    compiled = CompiledFilter(TickFilter(text="UNASSIGNED"))
    assert compiled.passes(Ticks().make(lane=None))
    assert not compiled.passes(Ticks().make())


@given(pattern=st.text("AB.*", min_size=1, max_size=8), name=st.text("AB.", max_size=8))
def test_globs_mean_what_the_same_regular_expression_means(pattern: str, name: str) -> None:
    """``*`` is any run of characters, everything else stands for itself."""
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    assert Glob(pattern).matches(name) is (re.fullmatch(expression, name) is not None)


def test_the_cache_of_symbols_is_bounded() -> None:
    """Any number of symbols may pass by."""
    compiled, ticks = CompiledFilter(TickFilter(symbols=("*7",))), Ticks()
    assert sum(compiled.passes(ticks.make(f"S{i}")) for i in range(30_000)) == 3_000
    assert len(compiled._by_symbol) <= 20_000
