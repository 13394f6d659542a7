"""What the feed hands up reaches the bus in order, or its loss is counted and said."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from tests.support.clock import HandClock
from tidewire.bus.memory import MemoryBus
from tidewire.core.errors import BusError
from tidewire.core.feed_status import FEED_STATUS_CHANNEL, FeedStatus
from tidewire.core.market import TICK_CHANNEL, Tick
from tidewire.market.publisher import MarketPublisher

TICK = Tick(
    symbol="AAPL", price=178.23, volume=1000, timestamp=1705853696.123, source="massive", connection_id="connection_1"
)


def status(clock: HandClock) -> FeedStatus:
    """The health of a feed without lines."""
    return FeedStatus(
        timestamp=clock.time(),
        source="massive",
        total_connections=0,
        connected_count=0,
        total_ticks_received=0,
        total_errors=0,
        connections={},
    )


class Listener:
    """Remembers what came on a channel."""

    def __init__(self, bus: MemoryBus, channel: str) -> None:
        self.messages: list[dict[str, object]] = []
        self.calls = 0
        bus.subscribe(channel, self._receive)

    def _receive(self, _channel: str, payloads: Sequence[bytes]) -> None:
        self.calls += 1
        self.messages += [json.loads(payload) for payload in payloads]


async def test_each_tick_is_one_message_of_the_contract() -> None:
    """The keys are those of contract section 3, in one bus call for the whole batch, in order."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    listener = Listener(bus, TICK_CHANNEL)
    publisher = MarketPublisher(bus, clock)
    publisher.receive_ticks([TICK, Tick(symbol="IBM", price=1.5, volume=2, timestamp=3.0, source="massive")])
    assert listener.calls == 1
    assert listener.messages[0] == {
        "type": "market_tick",
        "symbol": "AAPL",
        "price": 178.23,
        "volume": 1000,
        "timestamp": 1705853696.123,
        "source": "massive",
        "connection_id": "connection_1",
    }
    assert listener.messages[1]["symbol"] == "IBM"
    assert publisher.statistics() == {"published": 2, "dropped": 0, "status_refused": 0, "fenced": 0}


async def test_a_refusing_bus_is_counted_said_once_and_told_to_the_feed() -> None:
    """Every lost tick is in the counters and in the log's counts; the log is not flooded."""
    clock = HandClock()
    publisher = MarketPublisher(MemoryBus(clock), clock)
    with capture_logs() as logs:
        for _ in range(5):
            with pytest.raises(BusError):
                publisher.receive_ticks([TICK, TICK])
        await clock.advance(10.0)
        with pytest.raises(BusError):
            publisher.receive_ticks([TICK])
    assert publisher.statistics()["dropped"] == 11
    assert [entry["count"] for entry in logs] == [2, 9]
    assert all(entry["required_action"] and entry["will_not"] for entry in logs)


async def test_health_is_published_every_second_until_stopped() -> None:
    """A page that opens late learns of the feed; a failing report is not the end of the reports."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    listener = Listener(bus, FEED_STATUS_CHANNEL)
    publisher = MarketPublisher(bus, clock)
    asked = 0

    def health() -> FeedStatus:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise ValueError("this report fails")
        return status(clock)

    publisher.start(health)
    with pytest.raises(RuntimeError):
        publisher.start(health)
    for _ in range(4):
        await clock.advance(1.0)
    await publisher.stop()
    await publisher.stop()
    told = len(listener.messages)
    assert told == asked - 1 >= 3
    await clock.advance(5.0)
    assert len(listener.messages) == told


async def test_a_leader_signs_and_one_that_was_replaced_publishes_nothing() -> None:
    """Ticks and status carry the number, last; without the lease nothing leaves, and the feed is told."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    ticks, statuses = Listener(bus, TICK_CHANNEL), Listener(bus, FEED_STATUS_CHANNEL)
    numbers: list[int | None] = [7, 7, 8, None, None]
    publisher = MarketPublisher(bus, clock, node="here", fence=lambda: numbers.pop(0))
    publisher.receive_ticks([TICK, TICK])
    publisher.receive_status(status(clock))
    publisher.receive_ticks([TICK])
    with pytest.raises(BusError) as refused:
        publisher.receive_ticks([TICK, TICK])
    publisher.receive_status(status(clock))
    assert refused.value.code == "not_leader"
    assert [tick["fence"] for tick in ticks.messages] == [7, 7, 8]
    assert list(ticks.messages[0])[-1] == "fence"
    assert [(said["node"], said["fence"]) for said in statuses.messages] == [("here", 7)]
    assert publisher.statistics() == {"published": 3, "dropped": 2, "status_refused": 1, "fenced": 2}
