"""Rounds and what is heard between them: begun and ended together, whatever is under way and whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from tests.support.clock import HandClock
from tidewire.bus.listening import Listening
from tidewire.bus.memory import MemoryBus
from tidewire.bus.rounds import Rounds
from tidewire.core.watched_loop import WatchedLoop

CHANNEL = "tidewire:test"


class Walker:
    """Somebody who goes rounds: ``step`` is what a round does, ``seen`` what has happened."""

    def __init__(self, bus: MemoryBus, clock: HandClock) -> None:
        self.bus = bus
        self.clock = clock
        self.seen: list[str] = []
        self.step: Callable[[], Awaitable[None] | None] = lambda: self.seen.append("round")
        listening = Listening(bus, {CHANNEL: lambda _, payloads: self.seen.extend(map(bytes.decode, payloads))})
        self.rounds = Rounds(WatchedLoop("test", 1.0, lambda: self.step(), clock), listening)

    async def a_second(self) -> list[str]:
        """Say one word, let a second pass, and return what has happened."""
        self.seen.clear()
        self.bus.publish(CHANNEL, [b"word"])
        await self.clock.advance(1.0)
        return self.seen


@pytest.fixture
async def walker() -> AsyncIterator[Walker]:
    """Not started, on a bus that is; stopped afterwards."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    made = Walker(bus, clock)
    yield made
    await made.rounds.stop()
    await bus.stop()


async def test_it_goes_and_hears_from_start_to_stop(walker: Walker) -> None:
    """Not before, not after, and again after a new start; stopping twice, or before the start, is nothing."""
    await walker.rounds.stop()
    assert await walker.a_second() == []
    for _ in range(2):
        walker.rounds.start()
        assert await walker.a_second() == ["word", "round"]
        await walker.rounds.stop()
        await walker.rounds.stop()
        assert await walker.a_second() == []


async def test_a_second_start_is_refused_and_nothing_happens_twice(walker: Walker) -> None:
    """The first start stays as it is."""
    walker.rounds.start()
    with pytest.raises(RuntimeError):
        walker.rounds.start()
    assert await walker.a_second() == ["word", "round"]


async def test_stopping_ends_the_round_under_way_and_hears_nothing_meanwhile(walker: Walker) -> None:
    """Stop returns when the round has ended; a word that comes before that is not heard any more."""
    cleared = asyncio.Event()

    async def long() -> None:
        walker.seen.append("begun")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await cleared.wait()
            walker.seen.append("ended")

    walker.step = long
    walker.rounds.start()
    assert await walker.a_second() == ["word", "begun"]
    stopping = asyncio.create_task(walker.rounds.stop())
    await asyncio.sleep(0)
    walker.bus.publish(CHANNEL, [b"late"])
    assert not stopping.done()
    cleared.set()
    await stopping
    assert walker.seen == ["word", "begun", "ended"]
    assert not walker.rounds.loop.report().running


async def test_a_word_that_stops_it_is_the_last_one(walker: Walker) -> None:
    """Whoever stops while a message is handled, and waits for it elsewhere, gets neither round nor word."""
    stopping: list[asyncio.Task[None]] = []

    def stop(_: str, payloads: object) -> None:
        stopping.append(asyncio.create_task(walker.rounds.stop()))

    walker.bus.subscribe(CHANNEL, stop)
    walker.rounds.start()
    assert await walker.a_second() == ["word"]
    assert await walker.a_second() == []
    await asyncio.gather(*stopping)


async def test_a_round_that_fails_is_logged_and_the_next_one_comes(walker: Walker) -> None:
    """And words are heard all the same."""

    def fail() -> None:
        raise ZeroDivisionError("a fault of ours")

    good, walker.step = walker.step, fail
    walker.rounds.start()
    with capture_logs() as lines:
        assert await walker.a_second() == ["word"]
    assert [line["event"] for line in lines] == ["monitoring_loop_failed"]
    walker.step = good
    assert await walker.a_second() == ["word", "round"]
    assert walker.rounds.loop.report().failures == 1


async def test_rounds_and_hearing_can_be_had_one_by_one(walker: Walker) -> None:
    """For a test that goes the rounds by hand, and for one that makes somebody deaf."""
    walker.rounds.start()
    await walker.rounds.loop.stop()
    assert await walker.a_second() == ["word"]
    await walker.rounds.stop()
    walker.rounds.start()
    walker.rounds.listening.stop()
    assert await walker.a_second() == ["round"]
