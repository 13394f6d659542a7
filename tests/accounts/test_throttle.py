"""The token bucket: exact, bounded, and never fooled by overflow of time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.accounts.throttle import Throttle


def test_a_burst_then_a_trickle() -> None:
    """Three at once, the fourth is told when; exactly then it passes."""
    throttle = Throttle(burst=3, every_s=10)
    assert [throttle.take("k", 100.0) for _ in range(3)] == [None] * 3
    refusal = throttle.take("k", 100.0)
    assert refusal is not None
    assert (refusal.retry_after_s, refusal.first) == (10.0, True)
    assert throttle.take("k", 109.9) is not None
    assert throttle.take("k", 110.0) is None
    assert throttle.take("k", 110.0) is not None


def test_keys_do_not_share() -> None:
    """One key's flood costs another nothing."""
    throttle = Throttle(burst=1, every_s=10)
    assert throttle.take("a", 0.0) is None
    assert throttle.take("a", 0.0) is not None
    assert throttle.take("b", 0.0) is None


def test_a_returned_attempt_counts_for_nothing() -> None:
    """Give back as often as taken and the bucket never empties; an unknown key is nothing."""
    throttle = Throttle(burst=1, every_s=10)
    for _ in range(50):
        assert throttle.take("k", 0.0) is None
        throttle.give_back("k")
    throttle.give_back("unknown")


def test_a_flood_is_told_once_per_window() -> None:
    """Hundreds of refusals are one flood; after the window it is told again."""
    throttle = Throttle(burst=1, every_s=1000, tell_every_s=60)
    throttle.take("k", 0.0)
    refusals = [throttle.take("k", now / 10) for now in range(1, 1000)]
    assert sum(refusal.first for refusal in refusals if refusal) == 2


def test_memory_is_bounded_and_forgets_the_oldest() -> None:
    """A thousand keys in a table of ten: ten are held, and the one in constant use is among them."""
    throttle = Throttle(burst=1, every_s=1e6, keys_max=10)
    throttle.take("victim", 0.0)
    for number in range(1000):
        throttle.take(f"k{number}", 0.0)
        assert throttle.take("victim", 0.0) is not None
    assert throttle.statistics()["keys"] == 10
    assert throttle.statistics()["forgotten"] == 991


@given(
    st.integers(1, 8),
    st.floats(0.1, 100),
    st.lists(st.tuples(st.floats(0, 50), st.booleans()), max_size=60),
)
@settings(max_examples=150)
def test_never_more_than_the_bucket_allows(burst: int, every_s: float, steps: list[tuple[float, bool]]) -> None:
    """In any history, those allowed up to any moment fit the burst plus the time that has passed."""
    throttle = Throttle(burst=burst, every_s=every_s)
    now, began, kept = 1_000.0, 1_000.0, 0
    for gap, give_back in steps:
        now += gap
        refusal = throttle.take("k", now)
        if refusal is None:
            kept += 1
            if give_back:
                throttle.give_back("k")
                kept -= 1
        else:
            assert 0 < refusal.retry_after_s <= every_s + 1e-6
        assert kept <= burst + (now - began) / every_s + 1e-6
