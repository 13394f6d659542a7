"""The bus: ticks as they stand on it, published in calls of 50 and received by a subscriber of the same process.

In-process, and over a real Valkey with every message confirmed. The baseline of the latter is redis-py used as its
manual shows, over the same server in the same run: pipelines of as many PUBLISH as one of our round trips carries, and
``listen()``. Rates are messages per CPU second of this process, publishing and receiving together, because the server
and other programs share the machine; the rate by the wall clock stands beside it. No bar: the numbers explain what the
ingest and publish_to_page benchmarks leave open.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Sequence

import msgspec
import structlog
import uvloop
from redis.asyncio import Redis
from tests.support.valkey import ValkeyProcess

from bench.measure import RUNS, Figure, Result, percentile, repeat
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.redis import RedisBus
from tidewire.bus.wire import BrokerLimits
from tidewire.core.clock import SystemClock
from tidewire.core.market import TICK_CHANNEL, Tick

PER_CALL = 50
MEMORY_MESSAGES = 5_000_000
REDIS_MESSAGES = 100_000
SINGLES = 2_000
# Published ahead of the subscriber at most: enough to keep both ends busy, far below what the outbox takes.
AHEAD = 5_000
CEILING_S = 120.0


def ticks() -> list[bytes]:
    """Return one call's worth of messages."""
    now = time.time()
    encode = msgspec.json.Encoder().encode
    return [
        encode(
            Tick(
                symbol=f"SYM{number}",
                price=100 + number / 100,
                volume=100.0,
                timestamp=now,
                source="massive",
                connection_id="connection_1",
                event="T",
                received=now,
                published=now,
                frame=number + 1,
            )
        )
        for number in range(PER_CALL)
    ]


class Count:
    """Subscriber that counts, and lets the publisher wait for a number."""

    def __init__(self) -> None:
        self.messages = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def receive(self, _: str, payloads: Sequence[bytes]) -> None:
        """Count them."""
        self.messages += len(payloads)
        if self.messages >= self._wanted:
            self._reached.set()

    async def reach(self, messages: int) -> None:
        """Return once so many have come in all."""
        self._wanted = messages
        while self.messages < messages:
            self._reached.clear()
            await self._reached.wait()


class Stopwatch:
    """Wall and CPU seconds since it was made."""

    def __init__(self) -> None:
        gc.collect()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def rates(self, messages: int) -> tuple[float, float]:
        """Return messages per CPU second and per second."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return messages / cpu, messages / wall


async def flood(bus: Bus, messages: int) -> tuple[float, float]:
    """Publish so many and receive them all; return messages per CPU second and per second."""
    count, batch = Count(), ticks()
    subscription = bus.subscribe(TICK_CHANNEL, count.receive)
    await subscription.ready()
    watch = Stopwatch()
    async with asyncio.timeout(CEILING_S):
        for sent in range(PER_CALL, messages + 1, PER_CALL):
            bus.publish(TICK_CHANNEL, batch)
            if sent - count.messages >= AHEAD:
                await count.reach(sent - AHEAD // 2)
        await count.reach(messages)
    rates = watch.rates(messages)
    subscription.close()
    status = bus.status()
    assert (status.published, status.refused, status.lost, status.gaps) == (messages, 0, 0, 0), status
    return rates


async def one_by_one(bus: Bus) -> list[float]:
    """Publish single messages, each after the last has come; return the times from call to callback, milliseconds."""
    count, took = Count(), []
    payload = ticks()[:1]
    subscription = bus.subscribe(TICK_CHANNEL, count.receive)
    await subscription.ready()
    async with asyncio.timeout(CEILING_S):
        for number in range(1, SINGLES + 1):
            began = time.perf_counter()
            bus.publish(TICK_CHANNEL, payload)
            await count.reach(number)
            took.append((time.perf_counter() - began) * 1000)
    subscription.close()
    return took


async def by_the_manual(url: str, messages: int) -> tuple[float, float]:
    """Do the same with redis-py alone; return messages per CPU second and per second."""
    client = Redis.from_url(url)
    batch = ticks()
    count = Count()
    async with client, client.pubsub() as pubsub:
        await pubsub.subscribe(TICK_CHANNEL)
        confirmed = asyncio.Event()

        async def listen() -> None:
            async for message in pubsub.listen():
                if message["type"] == "message":
                    count.receive(TICK_CHANNEL, (message["data"],))
                else:
                    confirmed.set()

        listening = asyncio.create_task(listen())
        await confirmed.wait()
        per_trip = BrokerLimits().chunk_messages // PER_CALL * PER_CALL
        watch = Stopwatch()
        async with asyncio.timeout(CEILING_S):
            sent = 0
            while sent < messages:
                async with client.pipeline(transaction=False) as pipeline:
                    for payload in (batch * (per_trip // PER_CALL))[: messages - sent]:
                        pipeline.publish(TICK_CHANNEL, payload)
                    sent += len(pipeline)
                    await pipeline.execute()
                if sent - count.messages >= AHEAD:
                    await count.reach(sent - AHEAD // 2)
            await count.reach(messages)
        rates = watch.rates(messages)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return rates


async def memory() -> tuple[float, float]:
    """Flood the in-process bus."""
    bus = MemoryBus(SystemClock())
    await bus.start()
    try:
        return await flood(bus, MEMORY_MESSAGES)
    finally:
        await bus.stop()


async def broker(url: str) -> tuple[tuple[float, float], list[float]]:
    """Flood the Redis bus, then send single messages."""
    bus = RedisBus(url, SystemClock(), random.Random(1))
    await bus.start()
    try:
        return await flood(bus, REDIS_MESSAGES), await one_by_one(bus)
    finally:
        await bus.stop()


def measure_on(url: str) -> tuple[Figure, ...]:
    """Take one run."""
    memory_cpu, memory_wall = uvloop.run(memory())
    (redis_cpu, redis_wall), singles = uvloop.run(broker(url))
    manual_cpu, manual_wall = uvloop.run(by_the_manual(url, REDIS_MESSAGES))
    manual = "redis-py alone"
    return (
        Figure("in-process bus", memory_cpu, "messages/CPU s"),
        Figure("in-process bus, wall clock", memory_wall, "messages/s"),
        Figure("Redis bus, both ends", redis_cpu, "messages/CPU s", None, "at least", manual_cpu, manual),
        Figure("Redis bus, wall clock", redis_wall, "messages/s", None, "at least", manual_wall, manual),
        Figure("Redis bus, one message to its callback, p50", percentile(singles, 50), "ms"),
        Figure("Redis bus, one message to its callback, p99", percentile(singles, 99), "ms"),
    )


def run() -> Result:
    """Measure three times against one server."""
    # The buses say in the log when they connect; that is not what is measured here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    with ValkeyProcess() as server:
        figures = repeat(lambda: measure_on(server.url))
    parameters = {
        "message_bytes": len(ticks()[0]),
        "messages_per_call": PER_CALL,
        "memory_messages": MEMORY_MESSAGES,
        "redis_messages": REDIS_MESSAGES,
        "single_messages": SINGLES,
        "confirmed_per_round_trip": BrokerLimits().chunk_messages,
        "runs": RUNS,
    }
    return Result("bus", figures, parameters)


def main() -> int:
    """Print the result."""
    print(json.dumps(run().plain(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
