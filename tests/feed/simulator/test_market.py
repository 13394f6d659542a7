"""The market: exact rate, bars that agree with the trades, and the same events for the same seed."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidewire.feed.simulator.bars import load_real_bars
from tidewire.feed.simulator.instrument import Instrument
from tidewire.feed.simulator.listing import bars_of, list_market
from tidewire.feed.simulator.market import QUANTUM_MS, Market

START_MS = 1_700_000_035_000
REAL = load_real_bars()
Event = dict[str, Any]


def build(tickers: int, seed: int = 1, **settings: Any) -> Market:
    """Return a market of so many tickers."""

    def chance(name: str) -> Callable[[], float]:
        return random.Random(f"{seed}:{name}").random

    instruments = {
        listing.symbol: Instrument(listing, bars_of(listing, REAL, chance), chance(listing.symbol))
        for listing in list_market(tickers, seed)
    }
    return Market(instruments, chance("market"), **{"day_ms": 60_000, **settings})


def record(market: Market, seconds: float, rate: int, start_ms: int = START_MS) -> list[bytes]:
    """Listen to everything for a while; return the events in the order in which they were made."""
    heard: list[bytes] = []
    for instrument in market.instruments.values():
        for taps in instrument.taps.values():
            taps[1] = heard.append
    for quantum in range(round(seconds * 1_000 / QUANTUM_MS)):
        market.advance(start_ms + quantum * QUANTUM_MS, rate)
    return heard


def decoded(events: list[bytes]) -> list[Event]:
    """Return the events as objects."""
    return [msgspec.json.decode(event) for event in events]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 50_000)), min_size=1, max_size=5),
    st.integers(1, 30),
    st.floats(0.0, 0.9),
)
def test_the_rate_is_exact(phases: list[tuple[int, int]], tickers: int, quote_share: float) -> None:
    """However often the rate changes, the events made are the rate times the time, less than one event short."""
    market = build(tickers, quote_share=quote_share)
    allowed, events, quantum = 0, 0, 0
    for quanta, rate in phases:
        for _ in range(min(quanta, 20 if rate > 5_000 else quanta)):
            events += market.advance(START_MS + quantum * QUANTUM_MS, rate)
            allowed += rate * QUANTUM_MS
            quantum += 1
    assert events == market.events == allowed // 1_000


@pytest.mark.parametrize(("rate", "tickers"), [(1, 5), (7, 40), (1_000, 500), (20_000, 5)])
def test_what_is_heard_is_what_is_counted(rate: int, tickers: int) -> None:
    """Every event made is delivered once to whoever wants everything, and bars never pile up."""
    market = build(tickers, quote_share=0.0)
    seconds = 200 if rate < 10 else 3
    heard = record(market, seconds, rate)
    assert len(heard) == rate * seconds == market.events
    assert market.pending_bars <= 2 * rate


def test_the_same_seed_gives_the_same_events_whoever_listens() -> None:
    """Two runs agree byte by byte, although in one nobody listened for the first second; another seed differs."""
    whole = record(build(30), 2.0, 5_000)
    late = build(30)
    for quantum in range(100):
        late.advance(START_MS + quantum * QUANTUM_MS, 5_000)
    assert record(late, 1.0, 5_000, START_MS + 1_000) == whole[5_000:]
    assert record(build(30), 2.0, 5_000) == whole
    assert record(build(30, seed=2), 2.0, 5_000) != whole


def test_bars_agree_with_the_trades() -> None:
    """Each second and minute bar has the open, extremes, close, volume and averages of the trades that it covers."""
    events = decoded(record(build(8), 90.0, 500))
    trades: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event["ev"] == "T":
            trades[event["sym"]].append(event)
    bars = [event for event in events if event["ev"] in ("A", "AM")]
    assert {bar["ev"] for bar in bars} == {"A", "AM"}
    for bar in bars:
        covered = [trade for trade in trades[bar["sym"]] if bar["s"] <= trade["t"] < bar["e"]]
        traded = [trade["p"] for trade in covered]
        volume = sum(trade["s"] for trade in covered)
        assert (bar["o"], bar["h"], bar["l"], bar["c"]) == (traded[0], max(traded), min(traded), traded[-1])
        assert (bar["v"], bar["z"], bar["dv"]) == (volume, volume // len(covered), f"{volume}.0")
        assert bar["vw"] == pytest.approx(sum(t["p"] * t["s"] for t in covered) / volume, abs=0.0001)
        assert bar["e"] - bar["s"] == (1_000 if bar["ev"] == "A" else 60_000)
        assert bar["s"] % (bar["e"] - bar["s"]) == 0
        assert bar["dav"] == f"{bar['av']}.0"
    seconds = {(bar["sym"], bar["s"]) for bar in bars if bar["ev"] == "A"}
    last_s = max(start for _, start in seconds)
    assert seconds >= {(sym, t["t"] // 1_000 * 1_000) for sym, ts in trades.items() for t in ts if t["t"] < last_s}


def test_a_replayed_day_hits_the_real_bar_and_the_next_follows() -> None:
    """Day after day, AAPL's trades open, peak, bottom, close and add up exactly as on the real day."""
    events = decoded(record(build(5, day_ms=2_000, quote_share=0.3), 12.0, 2_000))
    trades = [event for event in events if event["ev"] == "T" and event["sym"] == "AAPL"]
    for bar in REAL["AAPL"][:4]:
        day: list[Event] = []
        while sum(trade["s"] for trade in day) < bar.volume:
            day.append(trades.pop(0))
        traded = [round(trade["p"] * 10_000) for trade in day]
        assert (traded[0], max(traded), min(traded), traded[-1]) == (bar.open, bar.high, bar.low, bar.close)
        assert sum(trade["s"] for trade in day) == bar.volume


def test_quotes_hold_the_last_trade() -> None:
    """Bid <= last trade <= ask and bid < ask, also where a real price is off the cent grid."""
    last: dict[str, float] = {}
    for event in decoded(record(build(40, day_ms=1_000), 5.0, 3_000)):
        if event["ev"] == "T":
            last[event["sym"]] = event["p"]
        elif event["ev"] == "Q":
            assert event["bp"] < event["ap"]
            assert event["bp"] <= last.get(event["sym"], event["bp"]) <= event["ap"]
            assert event["bs"] >= 1
            assert event["as"] >= 1


def test_sequence_numbers_rise_with_jumps_and_times_are_milliseconds() -> None:
    """Per ticker, q only rises, not by one each time, and t never goes back (feed-protocol.md 1.6)."""
    by_symbol: dict[str, list[Event]] = defaultdict(list)
    for event in decoded(record(build(10), 2.0, 2_000)):
        if event["ev"] in ("T", "Q"):
            by_symbol[event["sym"]].append(event)
    steps = {b["q"] - a["q"] for events in by_symbol.values() for a, b in pairwise(events)}
    assert min(steps) >= 1
    assert max(steps) > 1
    assert all(a["t"] <= b["t"] for events in by_symbol.values() for a, b in pairwise(events))
    assert all(START_MS <= e["t"] < START_MS + 2_000 for events in by_symbol.values() for e in events)
