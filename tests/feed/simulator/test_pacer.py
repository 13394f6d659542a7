"""The pacer: exact in the long run, forgiving when late, honest when far too late."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.feed.simulator.pacer import Pacer


def do_all(pacer: Pacer, now: float) -> int:
    """Do every quantum that is due."""
    due = pacer.due(now)
    for _ in range(due):
        pacer.advance()
    return due


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.0, 0.9), min_size=1, max_size=60))
def test_late_wakeups_lose_nothing(steps: list[float]) -> None:
    """Whenever it is asked, up to 0.9 s late, the quanta done are those that have passed."""
    pacer, now, done = Pacer(100.0, quantum_s=0.01), 100.0, 0
    for step in steps:
        now += step
        done += do_all(pacer, now)
        assert abs((now - 100.0) / 0.01 - done) <= 1.01
    assert pacer.skipped_s == 0.0


def test_far_too_late_is_skipped_and_counted() -> None:
    """After ten seconds without a turn it goes on from now and says how much it left out."""
    pacer = Pacer(0.0, quantum_s=0.01)
    assert do_all(pacer, 10.0) == 0
    assert pacer.skipped_s == 10.0
    assert do_all(pacer, 10.05) == 5


def test_waiting_for_the_delay_makes_the_next_quantum_due() -> None:
    """The delay it gives is neither too short nor twice too long."""
    pacer, now = Pacer(5.0, quantum_s=0.01), 5.0
    for _ in range(1_000):
        now += pacer.delay_s(now)
        assert do_all(pacer, now) == 1
