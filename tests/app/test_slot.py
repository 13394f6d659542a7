"""A place for a process: restarts with backoff, loops are told from accidents, wanted ends are ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidewire.app.slot import LOOP_AFTER, RESTART_CAP_S, WELL_AFTER_S, Slot, SlotState, cause_of


def failing(slot: Slot, times: int, now: float = 0.0) -> list[float]:
    """Let its process end so many times; return the delays drawn at their largest."""
    delays = []
    for _ in range(times):
        slot.launched(now)
        slot.ready(now)
        delays.append(slot.ended(now, "exit code 1", 1.0))
    return delays


def test_an_accident_is_no_loop_and_a_loop_waits_longer_and_longer() -> None:
    """The delays double up to the cap; the third end in a row is a loop, and stays one until it is well for a while."""
    slot = Slot("node-1", "web", 1)
    assert failing(slot, 2) == [0.5, 1.0]
    assert (slot.state, slot.is_looping, slot.restarts) == (SlotState.RESTING, False, 1)
    assert failing(slot, 8)[-1] == RESTART_CAP_S
    assert (slot.state, slot.is_looping, slot.restarts) == (SlotState.LOOPING, True, 9)
    slot.launched(0.0)
    # A process that is still starting is not well yet, however long that takes.
    slot.well(0.0)
    slot.ready(20.0)
    for second in range(int(WELL_AFTER_S)):
        slot.well(20.0 + second)
    assert slot.is_looping
    slot.well(20.0 + WELL_AFTER_S)
    assert not slot.is_looping
    assert failing(slot, 1) == [0.5]


def test_an_end_that_was_wanted_is_no_failure() -> None:
    """A drained process is not started again, and nothing is remembered against it."""
    slot = Slot("node-1", "web", 1)
    slot.launched(1.0)
    slot.ready(2.0)
    slot.draining(3.0)
    assert slot.ended(4.0, "exit code 0", 1.0) == 0.0
    assert (slot.state, slot.since, list(slot.ends), slot.restarts) == (SlotState.STOPPED, 4.0, [], 0)


@given(st.lists(st.sampled_from(["launched", "ready", "well", "ended"]), max_size=80), st.floats(0, 0.999))
def test_a_place_is_never_given_up(steps: list[str], draw: float) -> None:
    """Whatever happens in whatever order, an unwanted end is answered by a restart within the cap."""
    slot = Slot("node-1", "web", 1)
    now = 0.0
    for step in steps:
        now += 1.0
        if step == "ended":
            assert 0.0 < slot.ended(now, "killed by SIGKILL", draw) <= RESTART_CAP_S
            assert (slot.state is SlotState.LOOPING) == slot.is_looping
        else:
            getattr(slot, step)(now)
    assert len(slot.ends) <= 10
    assert slot.is_looping or steps.count("ended") < LOOP_AFTER or "well" in steps


def test_the_cause_of_an_end_is_in_words() -> None:
    """Exit codes and signals, also one without a name."""
    assert [cause_of(code) for code in (0, 1, -9, -40)] == [
        "exit code 0",
        "exit code 1",
        "killed by SIGKILL",
        "killed by signal 40",
    ]
