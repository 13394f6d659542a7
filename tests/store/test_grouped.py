"""Writes that are asked for one by one and committed together; against a scripted database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from tests.support.clock import HandClock
from tidewire.core.clock import Clock
from tidewire.core.errors import Conflict, RequestError, StoreError
from tidewire.store.grouped import Alone, Grouped

pytestmark = pytest.mark.anyio
REFUSED = Conflict("Not this one.", required_action="Send another.", will_not="Nothing is stored.")
GONE = StoreError("It is gone.", required_action="Restore it.", will_not="Nothing is stored.")


class Disk:
    """Commits when it is told to; ``written`` are the items of every transaction."""

    def __init__(self) -> None:
        self.written: list[Sequence[int]] = []
        self.began = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.fault: BaseException | None = None

    async def write(self, items: Sequence[int]) -> list[str | RequestError | None]:
        """Give everybody their number in words; refuse 13, leave 0 to itself; a fault comes once."""
        self.written.append(items)
        self.began.set()
        await self.open.wait()
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        return [REFUSED if item == 13 else None if item == 0 else f"item {item}" for item in items]


def grouped(disk: Disk, clock: Clock | None = None, *, wait_s: float = 30.0, most: int = 64) -> Grouped[int, str]:
    """A group writer over a disk."""
    return Grouped(disk.write, clock or HandClock(), wait_s=wait_s, most=most)


async def under_way(disk: Disk, writer: Grouped[int, str], *items: int) -> list[asyncio.Future[str | None]]:
    """Begin a transaction that does not end, with the items after the first waiting for the next one."""
    disk.open.clear()
    first = asyncio.ensure_future(writer.put(items[0]))
    await disk.began.wait()
    rest = [asyncio.ensure_future(writer.put(item)) for item in items[1:]]
    await asyncio.sleep(0)
    return [first, *rest]


async def test_what_comes_together_is_committed_together_and_answered_afterwards() -> None:
    """What is asked for during one transaction goes into the next one, and nobody is answered before its commit."""
    disk = Disk()
    asked = await under_way(disk, grouped(disk, most=50), *range(1, 102))
    assert not any(each.done() for each in asked)
    disk.open.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert answers == [REFUSED if n == 13 else f"item {n}" for n in range(1, 102)]
    assert disk.written == [[1], list(range(2, 52)), list(range(52, 102))]


async def test_each_has_an_outcome_of_its_own() -> None:
    """One that is refused, and one that must be done alone, cost the others nothing."""
    disk = Disk()
    writer = grouped(disk)
    answers = await asyncio.gather(*(writer.put(item) for item in (1, 13, 0, 2)), return_exceptions=True)
    assert answers == ["item 1", REFUSED, None, "item 2"]
    assert disk.written == [[1, 13, 0, 2]]
    assert writer.counts == {"groups": 1, "grouped": 4, "alone": 1, "overloaded": 0}


async def test_a_database_that_fails_fails_those_of_that_transaction_alone() -> None:
    """Whoever was in it gets the error; who waits for the next one has a transaction of their own."""
    disk = Disk()
    first, second = await under_way(disk, grouped(disk), 1, 2)
    disk.fault = GONE
    disk.open.set()
    with pytest.raises(StoreError, match="gone"):
        await first
    assert await second == "item 2"


@pytest.mark.parametrize("fault", [Alone(), ValueError("a bug")])
async def test_what_breaks_a_transaction_sends_each_of_it_alone(fault: Exception) -> None:
    """Nobody is refused for another one's fault, the next transaction lives, and a bug is logged."""
    disk = Disk()
    writer = grouped(disk)
    disk.fault = fault
    with capture_logs() as logs:
        assert await asyncio.gather(writer.put(1), writer.put(2)) == [None, None]
    assert [entry["event"] for entry in logs] == ["grouped_write_broke"] * isinstance(fault, ValueError)
    assert await writer.put(3) == "item 3"


async def test_who_has_waited_too_long_is_refused_and_not_written() -> None:
    """The refusal says that nothing is stored, and nothing is."""
    disk, clock = Disk(), HandClock()
    writer = grouped(disk, clock, wait_s=2.0)
    first, late = await under_way(disk, writer, 1, 2)
    clock.jump(1.5)
    in_time = asyncio.ensure_future(writer.put(3))
    await asyncio.sleep(0)
    clock.jump(1.0)
    disk.open.set()
    assert await first == "item 1"
    with pytest.raises(StoreError) as refused:
        await late
    assert refused.value.code == "storage_overloaded"
    assert await in_time == "item 3"
    assert (disk.written, writer.counts["overloaded"]) == ([[1], [3]], 1)


async def test_who_has_gone_is_not_written() -> None:
    """Who gives up before its transaction begins is left out; who gives up later costs nobody else the answer."""
    disk = Disk()
    first, gone, there = await under_way(disk, grouped(disk), 1, 2, 3)
    first.cancel()
    gone.cancel()
    disk.open.set()
    assert await there == "item 3"
    assert disk.written == [[1], [3]]


async def test_a_stop_waits_for_what_was_asked_for_and_takes_no_more() -> None:
    """Whoever has been taken is written and answered before the database may go; who comes later is told so."""
    disk = Disk()
    writer = grouped(disk, most=2)
    asked = await under_way(disk, writer, 1, 2, 3, 4)
    stop = asyncio.ensure_future(writer.stop())
    await asyncio.sleep(0)
    with pytest.raises(StoreError) as refused:
        await writer.put(5)
    assert refused.value.code == "storage_stopping"
    assert not stop.done()
    disk.open.set()
    await stop
    assert [each.result() for each in asked] == ["item 1", "item 2", "item 3", "item 4"]
    await writer.stop()
    assert disk.written == [[1], [2, 3], [4]]
