"""The contract of the queries over calculations, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tidewire.core.errors import NotFound
from tidewire.quotes.editing import SYSTEM, Act, create, index_of
from tidewire.store.calculation_record import (
    BEFORE,
    CalculationRecord,
    CalculationState,
    NewCalculation,
    name_of,
    serial_of,
)
from tidewire.store.calculations import Calculations
from tidewire.store.database import Database
from tidewire.store.quotes import Quotes

NOW = 1_700_000_000.0


async def add_quote(database: Database) -> str:
    """Store a quote; return its number."""
    values = {"customer_name": "Ada", "state": "CA", "product": "personal_auto"}
    decision = create(str(uuid.uuid4()), values, Act(SYSTEM, NOW))  # type: ignore[arg-type]
    return (await Quotes(database, index_of).add(decision)).quote.id


def new(name: str = "t", deadline_at: float = NOW + 10) -> NewCalculation:
    """What a calculation is begun with."""
    return NewCalculation(name, 1, "ada", "here", NOW, deadline_at)


async def test_a_calculation_comes_back_as_begun(database: Database) -> None:
    """With the quote's version, a number and a name of its own; the second one has the next number."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    assert await calculations.get(quote_id) is None
    first, superseded = await calculations.begin(quote_id, new())
    assert superseded is None
    assert first == CalculationRecord(quote_id, 1, "k1-t", CalculationState.RUNNING, 3, 1, "ada", "here", NOW, NOW + 10)
    assert await calculations.get(quote_id) == first
    second, superseded = await calculations.begin(quote_id, new("u"))
    assert (second.serial, second.calculation_id, superseded) == (2, "k2-u", first)
    assert await calculations.get(quote_id) == second


async def test_a_quote_that_is_not_there_is_not_calculated(database: Database) -> None:
    """Nothing is stored for it."""
    with pytest.raises(NotFound):
        await Calculations(database).begin(str(uuid.uuid4()), new())


async def test_only_one_that_runs_is_superseded(database: Database) -> None:
    """One that is storing or has ended is not told as superseded by the next."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    record, _ = await calculations.begin(quote_id, new())
    assert await calculations.move(record, CalculationState.STORING)
    record, superseded = await calculations.begin(quote_id, new())
    assert superseded is None
    assert await calculations.move(record, CalculationState.FAILED, ended_at=NOW, error={"code": "x"})
    assert (await calculations.begin(quote_id, new()))[1] is None


async def test_an_older_calculation_moves_nothing(database: Database) -> None:
    """Once a newer one has begun, no step of the older one has any effect."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    older, _ = await calculations.begin(quote_id, new("a"))
    newer, _ = await calculations.begin(quote_id, new("b"))
    for state in BEFORE:
        assert not await calculations.move(older, state, ended_at=NOW)
    await calculations.note_told(older)
    assert await calculations.get(quote_id) == newer


@pytest.mark.parametrize("to", sorted(BEFORE))
async def test_a_state_is_reached_only_from_those_before_it(database: Database, to: CalculationState) -> None:
    """Each transition that the record's text draws is made, and no other."""
    calculations = Calculations(database)
    paths: dict[CalculationState, list[CalculationState]] = {
        CalculationState.RUNNING: [],
        CalculationState.STORING: [CalculationState.STORING],
        CalculationState.DONE: [CalculationState.STORING, CalculationState.DONE],
        CalculationState.DISCARDED: [CalculationState.STORING, CalculationState.DISCARDED],
        CalculationState.FAILED: [CalculationState.FAILED],
        CalculationState.TIMED_OUT: [CalculationState.TIMED_OUT],
    }
    for start, path in paths.items():
        quote_id = await add_quote(database)
        record, _ = await calculations.begin(quote_id, new())
        for step in path:
            assert await calculations.move(record, step)
        assert await calculations.move(record, to, ended_at=NOW + 1, error={"code": "x"}) == (start in BEFORE[to])
        now = await calculations.get(quote_id)
        assert now is not None
        assert now.state == (to if start in BEFORE[to] else start)


async def test_of_many_that_begin_at_once_each_has_its_own_number(database: Database) -> None:
    """Also the first ones of a quote, for which there is no row yet; each but the last is superseded once."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    begun = await asyncio.gather(*(calculations.begin(quote_id, new(f"t{n}")) for n in range(6)))
    assert sorted(record.serial for record, _ in begun) == list(range(1, 7))
    superseded = [before.calculation_id for _, before in begun if before is not None]
    newest = max((record for record, _ in begun), key=lambda record: record.serial)
    assert sorted([*superseded, newest.calculation_id]) == sorted(record.calculation_id for record, _ in begun)


async def test_of_two_that_end_the_same_calculation_one_succeeds(database: Database) -> None:
    """The node that calculated and one that swept: the first one's word stands."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    record, _ = await calculations.begin(quote_id, new())
    ends = (CalculationState.FAILED, CalculationState.TIMED_OUT)
    moved = await asyncio.gather(*(calculations.move(record, end, ended_at=NOW) for end in ends))
    assert sorted(moved) == [False, True]


async def test_what_is_past_its_deadline_and_untold_is_found(database: Database) -> None:
    """Running or ended; not what is told, and not before its time; the longest overdue first."""
    calculations = Calculations(database)
    due = []
    for seconds in (3, 1, 2, 9):
        record, _ = await calculations.begin(await add_quote(database), new(deadline_at=NOW + seconds))
        due.append(record)
    await calculations.note_told(due[2])
    await calculations.move(due[1], CalculationState.FAILED, ended_at=NOW)
    found = await calculations.unfinished(NOW + 5, 10)
    assert [record.quote_id for record in found] == [due[1].quote_id, due[0].quote_id]
    assert [record.state for record in found] == [CalculationState.FAILED, CalculationState.RUNNING]
    assert len(await calculations.unfinished(NOW + 5, 1)) == 1


@pytest.mark.parametrize(("name", "serial"), [(name_of(12, "x-y"), 12), ("k-1", 0), ("", 0), ("kx-1", 0), ("k²-1", 0)])
def test_a_name_tells_its_number(name: str, serial: int) -> None:
    """A name that was not made here has none, and breaks nothing."""
    assert serial_of(name) == serial
