"""The synthetic source: seeded, at the asked rate, behind the same interface."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.clock import HandClock
from tidewire.core.errors import NotFound
from tidewire.core.feed_status import FeedStatus
from tidewire.core.market import Tick
from tidewire.feed.source import FeedSource, LineConfig
from tidewire.feed.synthetic import SyntheticFeed

LINES = [
    LineConfig("connection_1", "one", tickers=("AAPL", "MSFT")),
    LineConfig("connection_2", "two", tickers=("TSLA",)),
    LineConfig("connection_3", "three", enabled=False),
]


async def run(seconds: float, seed: int = 1) -> tuple[list[Tick], FeedStatus]:
    """Run a feed of 100 ticks/s for so long; return its ticks and its last status while it ran."""
    ticks: list[Tick] = []
    clock = HandClock()
    feed: FeedSource = SyntheticFeed(
        LINES, receive_ticks=ticks.extend, status_changed=lambda _: None, rate=100, seed=seed, clock=clock
    )
    assert await feed.connect()
    await clock.advance(seconds)
    report = feed.health()
    await feed.disconnect()
    return ticks, report


async def test_rate_source_and_owner() -> None:
    """It makes the asked number of ticks, says that they are synthetic, and files each under its line."""
    ticks, report = await run(10)
    assert len(ticks) == pytest.approx(1_000, abs=20)
    assert {tick.source for tick in ticks} == {"synthetic"}
    assert {(tick.symbol, tick.connection_id) for tick in ticks} == {
        ("AAPL", "connection_1"),
        ("MSFT", "connection_1"),
        ("TSLA", "connection_2"),
    }
    assert all(tick.price > 0 and tick.volume > 0 for tick in ticks)
    assert (report.source, report.total_connections, report.connected_count) == ("synthetic", 2, 2)
    assert report.total_ticks_received == len(ticks)
    assert report.connections["connection_1"].messages_per_second == pytest.approx(50, rel=0.1)
    assert report.connections["connection_3"].status == "disabled"


async def test_the_seed_repeats() -> None:
    """The same seed and clock give the same ticks, another seed others."""
    first, _ = await run(2)
    again, _ = await run(2)
    other, _ = await run(2, seed=2)
    assert first == again
    assert first != other


async def test_run_time_changes_pause_and_end() -> None:
    """Tickers come and go at run time, a pause stops everything, nothing runs after the end."""
    before = asyncio.all_tasks()
    ticks: list[Tick] = []
    clock = HandClock()
    feed = SyntheticFeed(LINES, receive_ticks=ticks.extend, status_changed=lambda _: None, rate=500, clock=clock)
    assert await feed.connect()
    assert feed.subscribe(["NVDA"])
    assert feed.get_ticker_assignment("NVDA") == "connection_2"
    await clock.advance(2)
    assert "NVDA" in {tick.symbol for tick in ticks}
    feed.unsubscribe(["NVDA", "TSLA"])
    ticks.clear()
    await clock.advance(2)
    assert {tick.symbol for tick in ticks} == {"AAPL", "MSFT"}
    await feed.pause("alice")
    ticks.clear()
    await clock.advance(2)
    assert ticks == []
    assert feed.health().connections["connection_1"].state == "paused"
    await feed.resume()
    await clock.advance(2)
    assert ticks
    with pytest.raises(NotFound):
        feed.inspect("connection_1", 1, "AAPL")
    await feed.disconnect()
    assert asyncio.all_tasks() == before


async def test_a_jumping_clock_makes_no_flood() -> None:
    """After an hour's jump one step's ticks stay bounded."""
    ticks: list[Tick] = []
    clock = HandClock()
    feed = SyntheticFeed(LINES[:1], receive_ticks=ticks.extend, status_changed=lambda _: None, rate=1e6, clock=clock)
    await feed.connect()
    await clock.advance(0.15)
    assert len(ticks) == 5_000
    await feed.disconnect()
