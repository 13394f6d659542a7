"""The token bucket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.token_bucket import TokenBucket


@given(st.lists(st.floats(0.0, 3.0), max_size=60))
def test_never_more_than_burst_plus_rate(waits: list[float]) -> None:
    """Over any time no more passes than was saved up and gained."""
    bucket, now, passed = TokenBucket(rate=2.0, burst=5.0, now=0.0), 0.0, 0
    for wait in waits:
        now += wait
        passed += bucket.take(now)
        assert passed <= 5.0 + 2.0 * now + 1e-6


def test_it_says_when_to_come_back() -> None:
    """After exactly that time there is a token again."""
    bucket = TokenBucket(rate=2.0, burst=1.0, now=0.0)
    assert bucket.take(0.0)
    assert not bucket.take(0.0)
    assert bucket.wait_s(0.0) == 0.5
    assert bucket.take(0.5)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """Time that runs backwards neither adds nor takes tokens."""
    bucket = TokenBucket(rate=1.0, burst=1.0, now=10.0)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)
