"""The state of a bus: every sequence of events gives a legal state, and changes are told exactly when they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidewire.bus.health import Health

HOLD_S = 10.0
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["connected", "reconnected", "degrade", "disconnected", "refresh"]),
        st.floats(0.0, 30.0),
    ),
    max_size=40,
)


@given(STEPS)
def test_any_sequence_of_events(steps: list[tuple[str, float]]) -> None:
    """A reason stands exactly while it is not up, ``since`` is the moment of the last change, degraded lasts."""
    wall, mono = 1_700_000_000.0, 0.0
    health = Health(wall, hold_s=HOLD_S)
    trouble_at = 0.0
    for step, later in steps:
        wall, mono = wall + later, mono + later
        before, since = health.state, health.since
        if step == "connected":
            changed, expected = health.connected(wall, mono), "up"
        elif step == "reconnected":
            changed, expected = health.connected(wall, mono, "back after 1 s"), "degraded"
            trouble_at = mono
        elif step == "degrade":
            changed = health.degrade(wall, mono, "slow")
            expected = "down" if before == "down" else "degraded"
            trouble_at = mono
        elif step == "disconnected":
            changed, expected = health.disconnected(wall, "gone"), "down"
        else:
            changed = health.refresh(wall, mono)
            expected = "up" if before == "degraded" and mono >= trouble_at + HOLD_S else before
        assert health.state == expected
        assert changed is (before != expected)
        assert health.since == (wall if changed else since)
        assert bool(health.reason) is (health.state != "up")


def test_before_the_start() -> None:
    """A bus that has not been started is down, and says so."""
    health = Health(5.0)
    assert (health.state, health.since, health.reason) == ("down", 5.0, "not started")
    assert not health.degrade(6.0, 1.0, "slow")
    assert health.reason == "not started"


def test_the_latest_cause_is_shown() -> None:
    """Going from one trouble to the next is no change of state, but the reason is the newer one, held anew."""
    health = Health(0.0, hold_s=10.0)
    health.connected(0.0, 0.0)
    assert health.degrade(1.0, 1.0, "slow")
    assert not health.degrade(9.0, 9.0, "refused")
    assert health.reason == "refused"
    assert not health.refresh(12.0, 12.0)
    assert health.refresh(19.0, 19.0)
    assert (health.state, health.since, health.reason) == ("up", 19.0, "")
