"""From rows to parts, and from parts to what has changed of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.analytics_rows import HOUR_S, NOW, hour
from tidewire.analytics.figures import applied, changed, conversion_parts, performance_parts, quotes_parts
from tidewire.analytics.rules import View
from tidewire.store.analytics_records import Figure, Logins, Timed
from tidewire.store.timing_records import BOUNDS_MS, Timing

NAMES = st.sampled_from(["totals", "statuses", "premium", "states", "timeline", "failure"])
PARTS = st.dictionaries(NAMES, st.one_of(st.integers(0, 3), st.dictionaries(st.text(max_size=2), st.integers(0, 2))))


@given(st.lists(PARTS, min_size=1, max_size=8))
def test_snapshot_and_changes_are_every_later_snapshot(states: list[dict[str, Any]]) -> None:
    """Whatever a dashboard goes through: the first state with all changes after it is each later one."""
    shown = applied({}, changed(None, states[0]))
    for before, after in pairwise(states):
        shown = applied(shown, changed(before, after))
        assert shown == after


@given(st.lists(PARTS, min_size=2, max_size=8), st.randoms())
def test_a_part_that_was_skipped_leaves_no_trace(states: list[dict[str, Any]], chance: Any) -> None:
    """Of changes of one part that wait to be sent only the newest is: the end is the same."""
    waiting: dict[str, Any] = {}
    for before, after in pairwise(states):
        for name, value in changed(before, after).items():
            # In any place among the others: a newer message takes the older one's, or goes behind.
            if chance.random() < 0.5:
                waiting.pop(name, None)
            waiting[name] = value
    assert applied(states[0], waiting) == states[-1]


@given(st.lists(st.floats(0.0, 20_000.0), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_in_the_bucket_of_the_true_one(took: list[float], share: float) -> None:
    """What is read from the histogram lies where the exact value lies."""
    timing = Timing()
    for one in took:
        timing.add(one)
    exact = sorted(took)[max(0, -(-int(share * 100) * len(took) // 100) - 1)]
    low = max((bound for bound in BOUNDS_MS if bound < exact), default=0.0)
    high = next((bound for bound in BOUNDS_MS if exact <= bound), BOUNDS_MS[-1])
    found = timing.percentile_ms(share)
    assert found is not None
    assert min(low, BOUNDS_MS[-1]) - 0.001 <= found <= high + 0.001


def test_a_timeline_has_a_step_for_each_hour_and_zero_where_nothing_happened() -> None:
    """It begins with the hour in which the time asked for begins and ends with the present one."""
    rows = [
        Figure("total", "", 2, 1),
        Figure("created", str(hour(NOW)), 2),
        Figure("created", str(hour(NOW) - 7_200), 1),
    ]
    line: Any = quotes_parts(View("quotes", hours=3), rows, NOW)["timeline"]
    assert line["from"] == hour(NOW - 3 * HOUR_S)
    assert line["created"] == [0, 1, 0, 2]
    assert line["quoted"] == line["bound"] == [0, 0, 0, 0]


def test_states_beyond_the_first_ten_are_added_up() -> None:
    """Nothing is left out silently: what is not named is counted."""
    rows = [Figure("total", "", 78, 1), *(Figure("state", f"S{n:02}", n, n // 2) for n in range(1, 13))]
    states: Any = quotes_parts(View("quotes"), rows, NOW)["states"]
    assert [one["state"] for one in states["top"]] == [f"S{n:02}" for n in range(12, 2, -1)]
    assert states["others"] == {"states": 2, "quotes": 3, "bound": 1}
    assert sum(one["quotes"] for one in states["top"]) + states["others"]["quotes"] == 78


def test_an_average_premium_is_exact_and_each_currency_has_its_own() -> None:
    """Cents are added as whole numbers and divided once; dollars and euros are never mixed."""
    rows = [Figure("total", "", 4, 1), Figure("premium", "EUR", 1, 100_001), Figure("premium", "USD", 3, 100_000)]
    premium: Any = quotes_parts(View("quotes"), rows, NOW)["premium"]
    assert premium["averages"] == [
        {"currency": "USD", "quotes": 3, "average": "333.33"},
        {"currency": "EUR", "quotes": 1, "average": "1000.01"},
    ]


def test_rates_of_nothing_are_unknown_not_zero() -> None:
    """Of no quotes no share is bound, and binding took no time: null, not 0."""
    parts: Any = conversion_parts(View("conversion"), [Figure("funnel", "", 0, 0, 0), Figure("time", "", 0)], NOW)
    assert parts["funnel"] == {
        "drafted": 0, "quoted": 0, "bound": 0, "quoted_rate": None, "bound_rate": None, "overall_rate": None
    }  # fmt: skip
    assert parts["time_to_bind"] == {"bound": 0, "average_s": None, "median_s": None, "p90_s": None}


def test_conversion_rates_are_shares_of_the_stage_before() -> None:
    """Of 8 drafted 4 were quoted, and 1 of these bound."""
    rows = [Figure("funnel", "", 8, 4, 1), Figure("time", "", 1, exact=60.0), Figure("state", "CA", 8, 4, 1)]
    parts: Any = conversion_parts(View("conversion"), rows, NOW)
    rates = {"quoted_rate": 0.5, "bound_rate": 0.25, "overall_rate": 0.125}
    assert parts["funnel"] == {"drafted": 8, "quoted": 4, "bound": 1, **rates}
    assert parts["states"] == [{"state": "CA", "drafted": 8, "quoted": 4, "bound": 1, **rates}]


def test_answers_are_told_apart_by_whose_fault_they_are() -> None:
    """A refusal is the asker's, a fault is ours; the rate is of faults."""

    def timed(outcome: str, took_ms: list[float], at: int | None = None) -> Timed:
        timing = Timing()
        for one in took_ms:
            timing.add(one)
        return Timed("api", outcome, at, timing)

    step = hour(NOW)
    rows = [
        timed(name, took, at) for at in (None, step) for name, took in (("2xx", [10, 20]), ("4xx", [1]), ("5xx", [9]))
    ]
    parts: Any = performance_parts(View("performance"), rows, Logins(3, 2), NOW)
    api = parts["api"]
    assert (api["count"], api["refused"], api["faults"], api["fault_rate"], api["average_ms"]) == (4, 1, 1, 0.25, 10.0)
    assert (parts["timeline"]["answers"][-1], parts["timeline"]["faults"][-1]) == (4, 1)
    assert parts["timeline"]["api_ms"][-1] == 10.0
    assert parts["timeline"]["calculation_ms"][-1] is None
    assert parts["sessions"] == {"logins": 3, "users": 2}
