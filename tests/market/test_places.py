"""Ticks with a place of their own: the rooms of every node agree, and a jump or another feed is never hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.hub.conftest import Client, turns
from tests.market.test_feeder import Market, prices
from tests.support.admin import tick_bytes
from tests.support.clock import HandClock
from tidewire.bus.memory import MemoryBus
from tidewire.core.market import TICK_CHANNEL, Tick
from tidewire.market.publisher import MarketPublisher

ROOM = "market:AAPL"


class Feed:
    """A feed whose ticks reach the nodes that are not deaf."""

    def __init__(self, markets: list[Market]) -> None:
        self.markets = markets
        self.deaf: set[int] = set()
        self._bus = MemoryBus(HandClock())
        self._bus.subscribe(TICK_CHANNEL, self._pass_on)
        self.publisher = MarketPublisher(self._bus, HandClock(), places=True)

    async def tick(self, *values: float, symbol: str = "AAPL") -> None:
        """Publish ticks."""
        await self._bus.start()
        self.publisher.receive_ticks([Tick(symbol, value, 1.0, 1_700_000_000.0, "massive") for value in values])
        await turns()

    def take_over(self) -> None:
        """Another process becomes the feed."""
        self.publisher = MarketPublisher(self._bus, HandClock(), places=True)

    def _pass_on(self, channel: str, payloads: Sequence[bytes]) -> None:
        for number, market in enumerate(self.markets):
            if number not in self.deaf:
                market.bus.publish(channel, payloads)


@pytest.fixture
async def feed() -> Any:
    """A feed and two nodes."""
    markets = [Market(), Market()]
    for market in markets:
        await market.stage.hub.start()
        market.feeder.start()
    yield Feed(markets)
    for market in markets:
        market.feeder.stop()
        await market.stage.hub.stop()


async def enter(feed: Feed, which: int, place: dict[str, Any] | None = None) -> tuple[Client, dict[str, Any]]:
    """A client inside, and what it was answered."""
    client = await feed.markets[which].stage.client("user-1")
    client.send("subscribe", room_id=ROOM, **({"since": place} if place else {}))
    (entered,) = [message for message in client.read() if message.get("room_id") == ROOM and "replayed" in message]
    return client, entered


async def test_every_node_gives_a_tick_the_same_place(feed: Feed) -> None:
    """Also a node where nobody watched until now; other symbols count for themselves."""
    await feed.tick(1.0, 2.0)
    await feed.tick(9.0, symbol="MSFT")
    first, entered = await enter(feed, 0)
    assert entered["offset"] == 2
    await feed.tick(3.0, 4.0)
    second, later = await enter(feed, 1)
    assert (later["epoch"], later["offset"]) == (entered["epoch"], 4)
    await feed.tick(5.0)
    for client in (first, second):
        assert client.read("tick")[-1]["offset"] == 5


async def test_a_client_resumes_on_another_node(feed: Feed) -> None:
    """What the other node has heard without a hole is replayed; what it has not is told as trimmed."""
    _, entered = await enter(feed, 0)
    await enter(feed, 1)
    await feed.tick(1.0)
    place = {"epoch": feed.markets[0].stage.hub.room(ROOM).epoch, "offset": 1}  # type: ignore[union-attr]
    await feed.tick(2.0, 3.0)
    _, entered = await enter(feed, 1, place)
    assert (entered["recovered"], entered["replayed"]) == (True, 2)
    feed.deaf = {1}
    await feed.tick(4.0)
    feed.deaf = set()
    await feed.tick(5.0)
    _, entered = await enter(feed, 1, place)
    assert (entered["recovered"], entered["reason"], entered["missed_at_least"]) == (False, "history_trimmed", 3)
    _, entered = await enter(feed, 0, place)
    assert (entered["recovered"], entered["replayed"]) == (True, 4)


async def test_another_feed_begins_a_new_epoch_and_members_are_told(feed: Feed) -> None:
    """A gap, then the newest tick of the new epoch; the old epoch's offsets are never mixed with it."""
    client, _ = await enter(feed, 0)
    await feed.tick(1.0)
    before = client.read("tick")[-1]
    feed.take_over()
    await feed.tick(2.0)
    (gap,) = client.read("gap")
    assert (gap["epoch"], gap["from_offset"], gap["reason"]) == (before["epoch"], 2, "epoch_changed")
    client.send("subscribe", room_id=ROOM, since={"epoch": before["epoch"], "offset": 1})
    (entered,) = client.read("subscribed")
    assert (entered["recovered"], entered["reason"], entered["offset"]) == (False, "epoch_changed", 1)
    await feed.tick(3.0)
    ticks = client.read("tick")
    assert [(tick["epoch"], tick["offset"]) for tick in ticks] == [(entered["epoch"], 2)]


async def test_a_foreign_tick_does_not_take_a_place(feed: Feed) -> None:
    """Shown without an offset, so that the feed's next one still fits; an old tick that comes late is not shown."""
    client, _ = await enter(feed, 0)
    await feed.tick(1.0)
    feed.markets[0].bus.publish(TICK_CHANNEL, [tick_bytes("AAPL", 7.0)])
    await feed.tick(2.0)
    ticks = client.read("tick")
    assert [(tick.get("offset"), tick["data"]["price"]) for tick in ticks] == [(1, 1.0), (None, 7.0), (2, 2.0)]
    late = tick_bytes("AAPL", 0.5, epoch=ticks[0]["epoch"], offset=1)
    feed.markets[0].bus.publish(TICK_CHANNEL, [late])
    await turns()
    assert prices(client.read("tick")) == []
