"""Look-ups that are asked for one by one and answered together; against a scripted database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from tidewire.core.errors import StoreError
from tidewire.store.batched import Batched

pytestmark = pytest.mark.anyio


class Table:
    """Answers when it is told to; ``asked`` are the keys of every query."""

    def __init__(self) -> None:
        self.rows = {n: f"row {n}" for n in range(10_000)}
        self.asked: list[Sequence[int]] = []
        self.began = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.fault: BaseException | None = None

    async def load(self, keys: Sequence[int]) -> Mapping[int, str]:
        """Return the rows as they are when the query begins."""
        self.asked.append(keys)
        self.began.set()
        found = {key: self.rows[key] for key in keys if key in self.rows}
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return found


async def test_thousands_at_once_are_few_queries() -> None:
    """Everybody gets what is theirs, or None; nobody's key is asked for twice at a time."""
    table = Table()
    batched = Batched(table.load, most=250)
    answers = await asyncio.gather(*(batched.get(n % 10_500) for n in range(21_000)))
    assert answers == [table.rows.get(n % 10_500) for n in range(21_000)]
    assert len(table.asked) == 42
    assert max(len(keys) for keys in table.asked) == 250


async def test_an_answer_is_never_older_than_its_question() -> None:
    """A key that is asked for while a query for it runs is asked for again."""
    table = Table()
    batched = Batched(table.load, at_once=1)
    table.open.clear()
    first = asyncio.ensure_future(batched.get(1))
    await table.began.wait()
    table.rows[1] = "changed"
    second = asyncio.ensure_future(batched.get(1))
    await asyncio.sleep(0)
    table.open.set()
    assert (await first, await second) == ("row 1", "changed")


async def test_a_database_that_fails_fails_whoever_waits_at_once() -> None:
    """Those in the query and those that wait for a turn get the error; the next question is asked anew."""
    table = Table()
    batched = Batched(table.load, at_once=1)
    table.open.clear()
    first = asyncio.ensure_future(batched.get(1))
    await table.began.wait()
    second = asyncio.ensure_future(batched.get(2))
    await asyncio.sleep(0)
    table.fault = StoreError("It is gone.", required_action="Restore it.", will_not="Nothing is guessed.")
    table.open.set()
    for answer in (first, second):
        with pytest.raises(StoreError, match="gone"):
            await answer
    assert table.asked == [[1]]
    table.fault = None
    assert await batched.get(2) == "row 2"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_fault_of_the_query_reaches_everybody_in_it() -> None:
    """Nobody waits for ever for a look-up that has died, and the next one lives."""
    table = Table()
    batched = Batched(table.load)
    table.fault = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        await batched.get(1)
    table.fault = None
    assert await batched.get(1) == "row 1"


async def test_who_has_gone_costs_nobody_else_the_answer() -> None:
    """A cancelled asker is left out, and others of the same key get their answer."""
    table = Table()
    batched = Batched(table.load)
    table.open.clear()
    gone, there = (asyncio.ensure_future(batched.get(1)) for _ in range(2))
    await table.began.wait()
    gone.cancel()
    table.open.set()
    assert await there == "row 1"
    assert gone.cancelled() or gone.cancelling()
