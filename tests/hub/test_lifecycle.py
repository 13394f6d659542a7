"""Deadlines of a connection, and who is asked when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.hub.lifecycle import Due, Lifecycle, State, Timing
from tidewire.hub.limit import ErrorBudget
from tidewire.hub.timetable import Timetable

TIMING = Timing()


def _open(now: float = 0.0) -> Lifecycle:
    life = Lifecycle(now, TIMING)
    life.move(State.OPEN, now)
    return life


@pytest.mark.parametrize("state", [State.CHECKING, State.WAITING])
def test_who_says_nothing_is_closed_after_ten_seconds(state: State) -> None:
    """Neither slow credentials nor none keep a connection."""
    life = Lifecycle(0.0, TIMING)
    life.move(state, 0.0)
    assert life.tick(9.9, 0.0) == []
    assert life.tick(10.0, 0.0) == [Due.CLOSE_AUTH_TIMEOUT]


def test_silence_after_a_heartbeat_closes() -> None:
    """Asked after 25 s, given up 10 s later; any sign of life resets that."""
    life = _open()
    assert life.tick(25.0, 0.0) == [Due.HEARTBEAT]
    life.receive(26.0)
    assert life.tick(35.0, 0.0) == []
    assert life.tick(50.0, 0.0) == [Due.HEARTBEAT]
    assert life.next_due(50.0, 0.0) == 60.0
    assert life.tick(60.0, 0.0) == [Due.CLOSE_NO_PONG]


def test_a_session_warns_then_ends() -> None:
    """Sixty seconds before the end a warning, at the end a close; extending starts over."""
    life = _open()
    life.extend(1_000.0)
    assert life.next_due(0.0, 995.0) == 0.0
    assert life.tick(1.0, 940.0) == [Due.WARN_EXPIRY]
    assert life.tick(2.0, 941.0) == []
    life.extend(2_000.0)
    assert life.tick(3.0, 1_000.0) == []
    assert life.tick(4.0, 2_000.0) == [Due.CLOSE_EXPIRED]


def test_a_stopped_reader_is_closed_and_a_slow_one_is_not() -> None:
    """Six seconds without draining once are the end; draining starts the count again."""
    life = _open()
    life.slow(1.0)
    life.quick()
    life.slow(5.0)
    assert life.tick(10.9, 0.0) == []
    assert life.tick(11.0, 0.0) == [Due.CLOSE_SLOW]


def test_a_close_that_is_not_answered_is_cut() -> None:
    """The closing handshake has a deadline of its own."""
    life = _open()
    life.move(State.CLOSING, 5.0)
    assert life.tick(6.9, 0.0) == []
    assert life.tick(7.0, 0.0) == [Due.ABORT]


events = st.lists(
    st.tuples(
        st.sampled_from(["open", "wait", "close", "lose", "slow", "quick", "receive", "extend", "tick"]),
        st.floats(0, 40, allow_nan=False),
    ),
    max_size=40,
)


@given(events)
def test_any_state_and_event_ends_in_a_legal_state(steps: list[Any]) -> None:
    """No order of events leaves the table, revives the dead, or makes a deadline that never comes."""
    life = Lifecycle(0.0, TIMING)
    now = 0.0
    order = list(State)
    for what, wait in steps:
        now += wait
        before = life.state
        moves = {"open": State.OPEN, "wait": State.WAITING, "close": State.CLOSING, "lose": State.CLOSED}
        if what in moves:
            life.move(moves[what], now)
            if before in (State.CLOSING, State.CLOSED):
                assert order.index(life.state) >= order.index(before)
        elif what == "slow":
            life.slow(now)
        elif what == "quick":
            life.quick()
        elif what == "receive":
            life.receive(now)
        elif what == "extend":
            life.extend(now + wait)
        else:
            due = life.tick(now, now)
            assert not (life.state is State.CLOSED and due)
        if life.state is not State.CLOSED:
            when = life.next_due(now, now)
            assert when < now + 1_000
            # Whoever asks at that time is answered, or told a later time.
            assert life.tick(max(when, now), max(when, now)) or life.next_due(max(when, now), max(when, now)) >= when


def test_ten_errors_in_a_row_are_too_many() -> None:
    """A success or a pause of ten seconds ends the row."""
    budget = ErrorBudget()
    assert [budget.fail(float(n)) for n in range(10)] == [False] * 9 + [True]
    budget = ErrorBudget()
    for n in range(9):
        budget.fail(float(n))
    budget.succeed()
    assert not budget.fail(9.0)
    assert not any(budget.fail(20.0 * n) for n in range(1, 30))


@given(st.lists(st.tuples(st.integers(0, 9), st.one_of(st.none(), st.floats(0, 100))), max_size=80))
def test_the_timetable_is_never_late(steps: list[Any]) -> None:
    """Everybody is taken at or before the earliest time given, once, and nobody who was discarded."""
    table: Timetable[int] = Timetable()
    wanted: dict[int, float] = {}
    for member, due in steps:
        if due is None:
            table.discard(member)
            wanted.pop(member, None)
        else:
            table.add(member, due)
            wanted[member] = min(due, wanted.get(member, due))
    assert len(table) == len(wanted)
    assert table.next_due() <= min(wanted.values(), default=float("inf"))
    middle = sorted(wanted.values())[len(wanted) // 2] if wanted else 0.0
    early = table.take(middle)
    assert sorted(early) == sorted(m for m, due in wanted.items() if due <= middle)
    assert sorted(early + table.take(1_000.0)) == sorted(wanted)
