"""The subscription ledger against a model of a broker: what is confirmed, refused, a gap, and overdue."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidewire.bus.ledger import Ask, Ledger

CHANNELS = "abc"
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["want", "want", "drop", "write", "answer", "answer", "break", "connect", "unasked"]),
        st.sampled_from(CHANNELS),
    ),
    max_size=80,
)


class _Broker:
    """One connection's far end: answers in order, keeps what is subscribed, and may refuse a channel."""

    def __init__(self, forbidden: str) -> None:
        self.forbidden = forbidden
        self.subscribed: set[str] = set()
        self.asked: deque[Ask] = deque()

    def will_be(self, channel: str) -> bool:
        """Whether ``channel`` is subscribed once everything asked has been answered."""
        state = channel in self.subscribed
        for ask in self.asked:
            if ask.channel == channel and ask.kind != "ping":
                state = ask.kind == "subscribe" and channel != self.forbidden
        return state


class _World:
    """A ledger, the broker it talks to, and what the test knows that the ledger must find out."""

    def __init__(self, forbidden: str) -> None:
        self.ledger = Ledger()
        self.broker: _Broker | None = None
        self.forbidden = forbidden
        self.wanted: dict[str, None] = {}
        # Channels whose listener has been told "ready" and has lived through a break since.
        self.ready: set[str] = set()
        self.broken: set[str] = set()
        self.gaps: list[str] = []
        self.expected_gaps: list[str] = []

    def want(self, channel: str) -> None:
        if channel not in self.wanted:
            self.wanted[channel] = None
            self.ledger.want(channel)

    def drop(self, channel: str) -> None:
        if channel in self.wanted:
            del self.wanted[channel]
            self.ready.discard(channel)
            self.broken.discard(channel)
            self.ledger.drop(channel)

    def write(self) -> None:
        if self.broker is not None:
            self.broker.asked += self.ledger.take(0.0, 0.0, 1.0)

    def answer(self) -> None:
        if self.broker is None or not self.broker.asked:
            return
        ask = self.broker.asked.popleft()
        if ask.kind == "subscribe" and ask.channel == self.forbidden:
            assert self.ledger.refuse("NOPERM") == ask
            return
        (self.broker.subscribed.add if ask.kind == "subscribe" else self.broker.subscribed.discard)(ask.channel)
        self._confirm(ask)

    def unasked(self, channel: str) -> None:
        """Something between us and the broker reconnected and subscribed for us."""
        if self.broker is not None and channel in self.ledger.confirmed and not self.broker.asked:
            self.expected_gaps.append(channel)
            if self.ledger.confirm("subscribe", channel, wanted=True):
                self.gaps.append(channel)

    def _confirm(self, ask: Ask) -> None:
        before = ask.channel in self.ledger.confirmed
        if self.ledger.confirm(ask.kind, ask.channel, wanted=ask.channel in self.wanted):
            self.gaps.append(ask.channel)
        if ask.channel in self.ledger.confirmed and not before:
            if ask.channel in self.broken:
                self.expected_gaps.append(ask.channel)
            self.broken.discard(ask.channel)
            self.ready.add(ask.channel)

    def end(self) -> None:
        self.broker = None
        self.ledger.disconnect()
        self.broken |= self.ready

    def connect(self) -> None:
        if self.broker is None:
            self.broker = _Broker(self.forbidden)
            self.ledger.connect(list(self.wanted))

    def check(self) -> None:
        assert self.gaps == self.expected_gaps
        if self.broker is None:
            assert not self.ledger.confirmed
            return
        for channel in self.ledger.confirmed:
            # Confirmed means: messages from now on are delivered. Also true after all that has been asked.
            assert channel in self.broker.subscribed
            assert self.broker.will_be(channel)


@given(STEPS, st.sampled_from([*CHANNELS, ""]))
def test_any_life_of_subscriptions(steps: list[tuple[str, str]], forbidden: str) -> None:
    """Confirmed is true, a gap is told exactly when a ready listener lived through a break, and all settles."""
    world = _World(forbidden)
    for step, channel in steps:
        if step in ("want", "drop", "unasked"):
            getattr(world, step)(channel)
        elif step == "break":
            world.end()
        else:
            getattr(world, step)()
        world.check()
    world.connect()
    for _ in range(2 * len(steps) + 10):
        world.write()
        world.answer()
        world.check()
    assert world.ledger.confirmed == set(world.wanted) - {forbidden}
    assert set(world.ledger.refused) == set(world.wanted) & {forbidden}
    assert world.broker is not None
    assert world.broker.subscribed == world.ledger.confirmed


def test_what_is_not_written_is_bounded() -> None:
    """However often a channel is entered and left before anything can be written, one question is left of it."""
    ledger = Ledger()
    ledger.connect([])
    for _ in range(1_000):
        for channel in CHANNELS:
            ledger.want(channel)
            ledger.drop(channel)
    assert len(ledger.take(0.0, 0.0, 1.0)) == len(CHANNELS)


def test_an_answer_overtaken_by_a_newer_wish_is_not_the_last_word() -> None:
    """Subscribed, left and entered again: only the last confirmation makes it ready, and none is a gap."""
    ledger = Ledger()
    ledger.connect(["a"])
    ledger.take(0.0, 0.0, 1.0)
    ledger.drop("a")
    ledger.take(0.0, 0.0, 1.0)
    ledger.want("a")
    ledger.take(0.0, 0.0, 1.0)
    assert not ledger.confirm("subscribe", "a", wanted=True)
    assert not ledger.confirm("unsubscribe", "a", wanted=True)
    assert ledger.confirmed == set()
    assert not ledger.confirm("subscribe", "a", wanted=True)
    assert ledger.confirmed == {"a"}


def test_a_refusal_that_nobody_asked_for() -> None:
    """It belongs to no channel."""
    ledger = Ledger()
    ledger.connect([])
    assert ledger.refuse("what?") is None
    assert ledger.refused == {}


@given(
    st.floats(0.01, 5.0),
    st.floats(0.01, 5.0),
    st.lists(st.floats(0.0, 10.0), max_size=5),
    st.booleans(),
)
def test_silence_is_noticed_in_time(ping_after_s: float, limit_s: float, heard: list[float], asks: bool) -> None:
    """Whoever follows idle_s() finds a dead connection at most ping_after_s + limit_s after its last sign of life."""
    ledger = Ledger()
    ledger.connect(["a"] if asks else [])
    signs = sorted(heard)
    now = heard_at = 0.0
    for _ in range(10_000):
        now += ledger.idle_s(now, heard_at, ping_after_s, limit_s)
        while signs and signs[0] <= now:
            heard_at = max(heard_at, signs.pop(0))
            ledger.confirm("subscribe" if asks else "ping", "a" if asks else "", wanted=asks)
        if ledger.overdue(now, heard_at, limit_s):
            break
        ledger.take(now, heard_at, ping_after_s)
        now += 1e-6  # the loop's own time; without it a rounding error could repeat one moment for ever
    else:
        pytest.fail("never noticed")
    assert now - heard_at <= ping_after_s + limit_s + 1e-3
    assert now - heard_at >= limit_s


def test_an_answered_connection_is_never_overdue() -> None:
    """Questions that are answered, and messages that come, count as signs of life."""
    ledger = Ledger()
    ledger.connect([])
    assert ledger.take(0.4, 0.0, 0.5) == []
    assert ledger.take(0.5, 0.0, 0.5) == [Ask("ping", "", 0.5)]
    assert ledger.take(2.0, 0.0, 0.5) == []  # one ping at a time
    assert ledger.overdue(2.0, 0.0, 1.5)
    assert not ledger.overdue(2.0, 1.0, 1.5)  # a message came at 1.0
    ledger.confirm("ping", "", wanted=False)
    assert not ledger.overdue(99.0, 0.0, 1.5)
