"""Backoff grows, is capped, and forgives only after stable time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.backoff import Backoff


def test_ceiling_doubles_to_the_cap() -> None:
    """With the highest draw the delays double until the cap."""
    backoff = Backoff(base_s=1.0, cap_s=5.0)
    assert [round(backoff.fail(0.999999)) for _ in range(5)] == [1, 2, 4, 5, 5]


def test_success_forgives_only_after_stable_time() -> None:
    """A flapping peer that works for a moment each time is still backed off."""
    backoff = Backoff(base_s=1.0, cap_s=60.0, stable_s=10.0)
    for _ in range(3):
        backoff.fail(0.5)
    backoff.succeed(100.0)
    backoff.succeed(109.9)
    assert backoff.failures == 3
    backoff.succeed(110.0)
    assert backoff.failures == 0


def test_failure_restarts_the_stable_time() -> None:
    """Stable time is counted from the first success after the last failure."""
    backoff = Backoff(stable_s=10.0)
    backoff.succeed(0.0)
    backoff.fail(0.5)
    backoff.succeed(10.0)
    assert backoff.failures == 1


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=200))
def test_every_delay_is_within_floor_and_cap(draws: list[float]) -> None:
    """No draw gives an immediate retry or a delay beyond the cap, after any number of failures."""
    backoff = Backoff(base_s=0.5, cap_s=30.0, floor_s=0.05)
    assert all(0.05 <= backoff.fail(draw) <= 30.0 for draw in draws)
