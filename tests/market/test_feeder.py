"""Ticks from the bus to the rooms, and the last one to whoever comes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hub.conftest import Stage, turns
from tests.support.admin import HandBus, tick_bytes
from tidewire.core.market import TICK_CHANNEL
from tidewire.market.feeder import RoomFeeder
from tidewire.market.rules import START


class Market:
    """A hub that is fed from a bus in the test's own hands."""

    def __init__(self, **options: Any) -> None:
        self.stage = Stage()
        self.bus = HandBus()
        self.feeder = RoomFeeder(self.bus, self.stage.hub, **options)  # type: ignore[arg-type]

    def tick(self, symbol: str, price: float) -> None:
        """A tick on the bus."""
        self.bus.publish(TICK_CHANNEL, [tick_bytes(symbol, price)])


@pytest.fixture
async def market() -> AsyncIterator[Market]:
    """A running market."""
    made = Market()
    await made.stage.hub.start()
    made.feeder.start()
    yield made
    made.feeder.stop()
    await made.stage.hub.stop()


def prices(messages: list[dict[str, Any]]) -> list[float]:
    """The prices in messages."""
    return [message["data"]["price"] for message in messages]


async def test_a_newcomer_gets_the_last_tick_before_live_ones(market: Market) -> None:
    """The room's present state is its last tick, also of a room that nobody was ever in."""
    market.tick("AAPL", 1.0)
    market.tick("AAPL", 2.0)
    client = await market.stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    market.tick("AAPL", 3.0)
    await turns()
    assert prices(client.read("tick")) == [2.0, 3.0]


async def test_nothing_is_made_for_a_symbol_that_nobody_watches(market: Market) -> None:
    """Ticks without a subscriber are neither encoded nor published, and no room comes to be."""
    for n in range(100):
        market.tick("AAPL", n + 1.0)
    statistics = market.stage.hub.statistics()
    assert (market.feeder.fed, statistics.published, statistics.rooms) == (0, 0, 0)


async def test_a_room_that_was_left_shows_what_is_true_now(market: Market) -> None:
    """Whoever comes into a room that stood empty gets the newest tick, not the one it ended with."""
    first = await market.stage.client("user-1")
    first.send("subscribe", room_id="market:AAPL")
    market.tick("AAPL", 1.0)
    first.send("unsubscribe", room_id="market:AAPL")
    market.tick("AAPL", 2.0)
    market.tick("AAPL", 3.0)
    second = await market.stage.client("user-2")
    second.send("subscribe", room_id="market:AAPL")
    await turns()
    assert prices(second.read("tick")) == [3.0]


async def test_coming_and_going_repeats_nothing(market: Market) -> None:
    """A client that resumes gets the tick it missed, once, and nothing if there was none."""
    client = await market.stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    market.tick("AAPL", 1.0)
    await turns()
    (tick,) = client.read("tick")
    place = {"epoch": tick["epoch"], "offset": tick["offset"]}
    client.send("unsubscribe", room_id="market:AAPL")
    client.send("subscribe", room_id="market:AAPL", since=place)
    await turns()
    assert client.read("tick") == []
    client.send("unsubscribe", room_id="market:AAPL")
    market.tick("AAPL", 2.0)
    client.read()
    client.send("subscribe", room_id="market:AAPL", since=place)
    await turns()
    entered, *ticks = client.read()
    assert entered["recovered"] is True
    assert prices(ticks) == [2.0]


async def test_a_slow_reader_gets_the_newest_tick(market: Market) -> None:
    """Over the soft mark a newer tick of a symbol replaces the older one; offsets may jump, never run back."""
    client = await market.stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    await turns()
    client.read()
    client.socket.stuck = True
    for n in range(200):
        market.tick("AAPL", n + 1.0)
        await turns(1)
    client.socket.release()
    await turns()
    got = client.read("tick")
    assert prices(got)[-1] == 200.0
    assert len(got) < 100
    assert [tick["offset"] for tick in got] == sorted({tick["offset"] for tick in got})


async def test_malformed_messages_cost_themselves(market: Market) -> None:
    """What is not a tick is counted; the next tick arrives."""
    client = await market.stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    market.tick("AAPL", 0.5)
    bad = [b"", b"[", b"{}", b'{"symbol":7}', json.dumps({"type": "market_tick", "symbol": "AAPL"}).encode()]
    bad += [START + b"AAPL", START + b'AAPL"', START + b'AAPL","symbol":"MSFT","price":1}', START + b"AAPLx"]
    market.bus.publish(TICK_CHANNEL, bad)
    market.tick("AAPL", 1.0)
    await turns()
    assert prices(client.read("tick")) == [0.5, 1.0]
    assert market.feeder.malformed == len(bad)


async def test_a_symbol_that_was_forgotten_is_fed_again() -> None:
    """Invented symbols may push a watched one out of the memory; its next tick still reaches those inside."""
    market = Market(max_symbols=2)
    await market.stage.hub.start()
    market.feeder.start()
    client = await market.stage.client("user-1")
    client.send("subscribe", room_id="market:AAPL")
    market.tick("AAPL", 1.0)
    for n in range(5):
        market.tick(f"S{n}", 1.0)
    market.tick("AAPL", 2.0)
    await turns()
    assert prices(client.read("tick")) == [1.0, 2.0]
    market.feeder.stop()
    await market.stage.hub.stop()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["enter 1", "leave 1", "enter 2", "leave 2", "tick", "other", "bad"]), max_size=25))
async def test_whoever_is_inside_knows_the_newest_tick(steps: list[str]) -> None:
    """Any order of coming, going and ticks: the last tick that a member has is the last one there was."""
    market = Market()
    market.feeder.start()
    clients = {name: await market.stage.client(f"user-{name}") for name in ("1", "2")}
    inside: set[str] = set()
    seen: dict[str, float] = {}
    newest = 0.0
    for step in steps:
        word, _, name = step.partition(" ")
        if word == "tick":
            newest += 1.0
            market.tick("AAPL", newest)
        elif word == "other":
            market.tick("MSFT", 1.0)
        elif word == "bad" and inside:
            market.bus.publish(TICK_CHANNEL, [START + b'AAPL","price":-1}'])
        elif word == "enter":
            inside.add(name)
            clients[name].send("subscribe", room_id="market:AAPL")
        elif name in inside:
            inside.discard(name)
            clients[name].send("unsubscribe", room_id="market:AAPL")
        await turns(2)
        for number, client in clients.items():
            for price in prices(client.read("tick")):
                seen[number] = price
        assert all(seen.get(number, 0.0) == newest for number in inside)
    market.feeder.stop()


async def test_invented_symbols_do_not_fill_the_memory() -> None:
    """Of more symbols than the bound the one known longest is forgotten, and counted."""
    market = Market(max_symbols=3)
    market.feeder.start()
    for n in range(5):
        market.tick(f"S{n}", 1.0)
    assert market.feeder.statistics()["symbols"] == 3
    assert market.feeder.forgotten == 2
    market.feeder.stop()
    assert market.bus.subscribers() == 0


async def test_it_starts_once(market: Market) -> None:
    """A second start is refused."""
    with pytest.raises(RuntimeError):
        market.feeder.start()
