"""The small pure parts: states, windows, calendar, limit, ring, failover's judgement."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.core.feed_status import LineState, LineStatus, Percentiles
from tidewire.feed.account_limit import AccountLimit
from tidewire.feed.inspection import FrameRing, inspect_frame
from tidewire.feed.line_metrics import LineMetrics
from tidewire.feed.line_state import TRANSITIONS, IllegalTransition, Vitals, is_connected, judge, move, status_of
from tidewire.feed.session_calendar import in_session, session_date
from tidewire.feed.source import LineTiming
from tidewire.feed.topic_ledger import TopicLedger
from tidewire.feed.watch import LineWatch
from tidewire.feed.window import LatencyWindow, RateWindow, SilenceWatch

STATES = get_args(LineState)


def at(text: str) -> float:
    """Return Unix seconds of an ISO time with offset."""
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def test_the_table_names_every_state_and_no_other() -> None:
    """Each state has its row and its word; rows lead only to states."""
    assert set(TRANSITIONS) == set(STATES)
    assert {status_of(state) for state in STATES} == set(get_args(LineStatus))
    assert all(targets <= set(STATES) for targets in TRANSITIONS.values())
    assert all("paused" in TRANSITIONS[state] for state in STATES if state != "disabled")
    assert {state for state in STATES if is_connected(state)} == {s for s in STATES if status_of(s) == "connected"}


@given(st.sampled_from(STATES), st.sampled_from(STATES))
def test_any_move_is_legal_or_a_named_error(state: LineState, target: LineState) -> None:
    """A move ends in its target or raises; nobody skips the handshake."""
    if target == state or target in TRANSITIONS[state]:
        assert move(state, target) == target
        if is_connected(target) and not is_connected(state):
            assert state == "subscribing"
    else:
        with pytest.raises(IllegalTransition):
            move(state, target)


FINE = Vitals(has_topics=True, silent_s=0, threshold_s=10, in_session=True, malformed_share=0, lag_ms=5)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "live"),
        ({"silent_s": 11}, "stale"),
        ({"silent_s": 11, "in_session": False}, "market_closed"),
        ({"silent_s": 11, "threshold_s": 60, "in_session": False}, "market_closed"),
        ({"silent_s": 11, "has_topics": False}, "live"),
        ({"malformed_share": 0.02}, "degraded"),
        ({"malformed_share": 0.01}, "live"),
        ({"lag_ms": 2_500}, "degraded"),
        ({"lag_ms": None}, "live"),
        ({"lag_ms": 2_500, "silent_s": 11}, "stale"),
    ],
)
def test_judgement(change: dict[str, float], state: str) -> None:
    """Silence decides before quality; closed is not stale; a line without topics is never silent."""
    assert judge(msgspec.structs.replace(FINE, **change)) == state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-16T03:59:59-05:00", False),
        ("2024-01-16T04:00:00-05:00", True),
        ("2024-01-16T19:59:59-05:00", True),
        ("2024-01-16T20:00:00-05:00", False),
        ("2024-01-19T12:00:00-05:00", True),
        ("2024-01-20T12:00:00-05:00", False),
        ("2024-01-21T12:00:00-05:00", False),
        ("2024-07-16T04:00:00-04:00", True),
        ("2024-07-16T03:59:00-04:00", False),
        # Christmas: holidays are not known, and the module says so.
        ("2024-12-25T12:00:00-05:00", True),
    ],
)
def test_sessions(text: str, expected: bool) -> None:
    """Four to twenty, New York, Monday to Friday, through daylight saving."""
    assert in_session(at(text)) is expected


def test_session_date_is_new_yorks() -> None:
    """The trading date changes at New York's midnight."""
    assert session_date(at("2024-01-16T23:59:00-05:00")).isoformat() == "2024-01-16"
    assert session_date(at("2024-01-17T00:01:00-05:00")).isoformat() == "2024-01-17"


def test_rate_is_over_the_window() -> None:
    """A steady 100/s reads 100, from the first second on, and 0 ten seconds after the end."""
    window = RateWindow(10)
    assert window.rate(0.0) == 0
    readings = []
    for step in range(400):
        now = 1_000 + step / 10
        window.add(now, 10)
        readings.append(window.rate(now))
    assert all(90 <= reading <= 112 for reading in readings[10:])
    assert window.rate(1_039.9 + 10.2) == 0
    assert window.total(1_039.9) == pytest.approx(1_000, rel=0.1)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 100)), max_size=60))
def test_rate_window_never_counts_what_has_left(steps: list[tuple[float, int]]) -> None:
    """The window's sum lies between what surely is inside and what may be."""
    window = RateWindow(10)
    now = 50.0
    history: list[tuple[float, int]] = []
    for gap, amount in steps:
        now += gap
        window.add(now, amount)
        history.append((now, amount))
        surely = sum(a for t, a in history if t > now - 9)
        perhaps = sum(a for t, a in history if t > now - 10)
        assert surely <= window.total(now) <= perhaps


def test_percentiles() -> None:
    """Nearest rank over what is young enough."""
    window = LatencyWindow(seconds=30)
    assert window.percentiles(0) == Percentiles()
    window.add(0, 9_999)
    for value in range(1, 101):
        window.add(40, value)
    assert window.percentiles(41) == Percentiles(p50=50, p99=99)


@settings(max_examples=80)
@given(gap=st.floats(0.01, 300), jitter=st.lists(st.floats(0.3, 1.7), min_size=5, max_size=60))
def test_a_steady_line_never_flaps(gap: float, jitter: list[float]) -> None:
    """A line that ticks every so often, sparse or dense, is never silent beyond its threshold."""
    watch = SilenceWatch()
    now = 100.0
    watch.connect(now)
    watch.receive(now)
    watch.receive(now + gap)
    now += gap
    for factor in jitter:
        assert factor * gap < watch.threshold_s()
        now += factor * gap
        watch.receive(now)


def test_silence_is_learned_and_a_reconnect_is_not() -> None:
    """A busy line is found mute in ten seconds; a natural pause is forgiven next time; a reconnect teaches nothing."""
    watch = SilenceWatch()
    watch.connect(0)
    assert (watch.silent_s(30), watch.threshold_s()) == (30, 60)
    for step in range(100):
        watch.receive(step / 10)
    assert watch.threshold_s() == 10
    watch.receive(25)
    assert watch.threshold_s() > 25
    for step in range(1, 400):
        watch.receive(25 + step / 10)
    learned = watch.threshold_s()
    watch.connect(5_000)
    watch.receive(5_001)
    assert watch.threshold_s() == learned


def test_the_accounts_cooldown() -> None:
    """One strike is 60-120 s, lines evicted together are one strike, repeated strikes double up to ten minutes."""
    limit = AccountLimit(60)
    assert limit.remaining_s(0) == 0
    assert limit.strike(0, 0.5) == 90
    assert limit.strike(1, 0.9) == 89
    assert limit.remaining_s(90) == 0
    assert limit.strike(100, 0.0) == 120
    assert limit.strike(300, 0.0) == 240
    for now in range(1_000, 6_000, 700):
        assert limit.strike(now, 0.99) <= 600
    assert limit.strike(20_000, 0.0) == 60
    limit.forget()
    assert limit.remaining_s(20_001) == 0
    assert limit.strike(20_001, 0.0) == 60


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=60))
def test_ring_is_bounded_and_keeps_the_newest(sizes: list[int]) -> None:
    """The ring never exceeds its bound by more than the newest frame, and finds exactly what it keeps."""
    ring = FrameRing(100)
    for number, size in enumerate(sizes, start=1):
        assert ring.add(float(number), b"x" * size) == number
        kept, total = ring.statistics()
        assert total <= 100 or kept == 1
        assert ring.find(number) == (float(number), b"x" * size)
        assert ring.find(number - kept) is None
        assert ring.find(number + 1) is None


def test_inspection_of_what_was_not_understood() -> None:
    """A rejected event is shown with its reason, an absent symbol and a huge frame are said to be so."""
    frame = b'[{"ev":"T","sym":"A","p":-1,"t":1700000000000},{"ev":"T","sym":"B","p":1,"t":1700000000000}]'
    bad = inspect_frame(1.0, frame, "A")
    assert bad.verdict.startswith("absurd_price")
    assert bad.decoded is None
    assert bad.event_raw == '{"ev":"T","sym":"A","p":-1,"t":1700000000000}'
    assert inspect_frame(1.0, frame, "C").verdict == "no event about C in this frame"
    twice = inspect_frame(1.0, b"[" + b",".join([frame[1:-1], frame[1:-1]]) + b"]", "B")
    assert twice.verdict.startswith("valid (the last of 2")
    huge = inspect_frame(1.0, b"\xff" * 100_000, "A")
    assert (huge.truncated, huge.raw_bytes) == (True, 100_000)


def test_a_mute_venue_costs_few_reconnects() -> None:
    """A formerly busy line ends after a minute of silence in session, then after two, four, ...; data forgives."""
    watch, metrics, ledger = LineWatch(LineTiming()), LineMetrics(), TopicLedger()
    ledger.want(["T.A"])
    wall = at("2024-01-16T12:00:00-05:00")

    def mute_after(start: float) -> float:
        watch.begin(start, 0)
        for second in range(1, 3_000):
            now = start + second
            # The peer answers pings all the time.
            verdict = watch.examine(now, wall, second, metrics, ledger)
            if verdict.end is not None:
                assert (verdict.end.code, verdict.state) == ("mute", "stale")
                return float(second)
        return float("inf")

    watch.begin(0, 0)
    assert mute_after(0) == float("inf")
    for step in range(100):
        watch.silence.receive(5_000 + step / 10)
    assert [mute_after(10_000 * n) for n in range(1, 7)] == [60, 120, 240, 480, 960, 960]
    metrics.count_frame(80_000, 10, 1)
    watch.begin(80_000, 0)
    assert watch.examine(80_001, wall, 1, metrics, ledger).steady
    assert mute_after(90_000) == 60


def test_out_of_session_silence_never_ends_a_line() -> None:
    """At the weekend a mute line is closed, not broken."""
    watch, metrics, ledger = LineWatch(LineTiming()), LineMetrics(), TopicLedger()
    ledger.want(["T.A"])
    watch.begin(0, 0)
    for step in range(100):
        watch.silence.receive(step / 10)
    verdict = watch.examine(5_000, at("2024-01-20T12:00:00-05:00"), 1, metrics, ledger)
    assert (verdict.state, verdict.end) == ("market_closed", None)


def test_ping_then_deadline() -> None:
    """Nine silent seconds ask for a pong, nine more end it; any frame is a sign of life."""
    watch, metrics, ledger = LineWatch(LineTiming()), LineMetrics(), TopicLedger()
    watch.begin(0, 5)

    def look(now: float, heard: int) -> tuple[bool, str | None]:
        verdict = watch.examine(now, 0.0, heard, metrics, ledger)
        return verdict.ping, verdict.end.code if verdict.end is not None else None

    assert look(8, 5) == (False, None)
    assert look(9, 5) == (True, None)
    assert look(10, 5) == (False, None)
    assert look(11, 6) == (False, None)
    assert look(20, 6) == (True, None)
    assert look(28, 6) == (False, None)
    assert look(29, 6) == (False, "pong_timeout")
