"""The venue as pure data: any sequence of events leaves a legal state."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.feed.simulator.test_market import build
from tidewire.core.errors import RequestError
from tidewire.feed.simulator.config import EVICTIONS, Eviction, SimulatorConfig
from tidewire.feed.simulator.fault import FAULTS, FaultBoard
from tidewire.feed.simulator.market import Market
from tidewire.feed.simulator.session import Stage
from tidewire.feed.simulator.venue import MAX_TOPICS, Act, Close, Drop, Push, Venue
from tidewire.feed.simulator.wire import CHANNELS

KEYS = ("one-key", "two-key")
TOPICS = ("T.AAPL", "T.*", "Q.MSFT", "Q.*", "A.AAPL", "AM.*", "ZZ.AAPL", "NOI.AAPL", "T.NOSUCH", "", "T.")
numbers = st.integers(1, 8)
says = st.one_of(
    st.tuples(st.just("auth"), st.sampled_from((*KEYS, "wrong"))),
    st.tuples(
        st.sampled_from(["subscribe", "unsubscribe", "sing"]),
        st.lists(st.sampled_from(TOPICS)).map(lambda t: ",".join(t)),
    ),
)
steps = st.one_of(
    st.just(("open",)),
    st.tuples(st.just("leave"), numbers),
    st.tuples(st.just("say"), numbers, says),
    st.tuples(st.just("raw"), numbers, st.binary(max_size=20)),
    st.tuples(st.just("wait"), st.floats(0.0, 5.0)),
    st.tuples(st.just("press"), st.sampled_from(FAULTS), numbers),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=60), st.sampled_from(EVICTIONS))
def test_any_sequence_leaves_a_legal_state(script: list[tuple[object, ...]], eviction: Eviction) -> None:
    """Caps hold, taps are exactly what the topics say, and nobody hears anything after being closed."""
    market = build(5)
    config = SimulatorConfig(keys=KEYS, max_connections=2, eviction=eviction, auth_timeout_s=3.0, close_linger_s=1.0)
    venue = Venue(config, market.instruments, random.Random(1).random)
    board = FaultBoard(venue, market.instruments)
    now_s, ended, refusals = 0.0, set[int](), list[RequestError]()
    for step in script:
        acts: list[Act] = []
        match step:
            case ("open",):
                acts = venue.open(now_s)[1]
            case ("leave", int(number)):
                venue.leave(number)
            case ("say", int(number), (action, params)):
                acts = venue.receive(number, msgspec.json.encode({"action": action, "params": params}), now_s)
            case ("raw", int(number), bytes(data)):
                acts = venue.receive(number, data, now_s)
            case ("wait", float(seconds)):
                now_s += seconds
                acts = venue.expire(now_s)
                for quantum in range(3):
                    market.advance(1_700_000_000_000 + quantum * 10, venue.rate(now_s))
            case ("press", str(fault), int(number)):
                try:
                    acts = board.press(fault, {"connection": number}, now_s)[1]
                except RequestError as exc:
                    refusals.append(exc)
        for act in acts:
            assert not (isinstance(act, (Push, Close)) and act.session in ended)
            if isinstance(act, (Close, Drop)):
                ended.add(act.session)
        assert_legal(venue, config, market)
    assert all(all(refusal.describe().values()) for refusal in refusals)


def assert_legal(venue: Venue, config: SimulatorConfig, market: Market) -> None:
    """Check what must always hold."""
    live = [session for session in venue.sessions.values() if session.stage is Stage.AUTHENTICATED]
    if config.eviction != "newest":
        assert all(held <= config.max_connections for held in Counter(session.key for session in live).values())
    for symbol, instrument in market.instruments.items():
        for channel in CHANNELS:
            wanting = {s.number for s in live if {(channel, symbol), (channel, "*")} & s.topics}
            assert set(instrument.taps[channel]) == wanting


def test_topics_are_bounded() -> None:
    """A client that subscribes to made-up tickers for ever is told, and fills no memory."""
    venue = Venue(SimulatorConfig(), {}, random.Random(1).random)
    session, _ = venue.open(0.0)
    venue.receive(session.number, b'{"action":"auth","params":"simulator-key"}', 0.0)
    names = ",".join(f"T.X{number}" for number in range(MAX_TOPICS + 5))
    (act,) = venue.receive(session.number, msgspec.json.encode({"action": "subscribe", "params": names}), 0.0)
    assert isinstance(act, Push)
    assert act.payload.count(b"too many subscriptions") == 5
    assert len(session.topics) == MAX_TOPICS


def test_a_closed_connection_that_ignores_it_is_dropped() -> None:
    """After the linger time, and not before."""
    venue = Venue(SimulatorConfig(close_linger_s=1.0), {}, random.Random(1).random)
    session, _ = venue.open(0.0)
    venue.end(session, 5.0, None)
    assert venue.expire(5.9) == []
    assert venue.expire(6.0) == [Drop(session.number)]
