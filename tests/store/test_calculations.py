"""The contract of the queries over calculations, on SQLite and on Postgres."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tidewire.core.errors import Conflict, NotFound
from tidewire.quotes.editing import SYSTEM, Act, Author, Edit, apply_edits, create, index_of, rate
from tidewire.quotes.model import Premium
from tidewire.store.calculation_record import CalculationRecord, CalculationRequest, CalculationState, NewCalculation
from tidewire.store.calculations import Calculations
from tidewire.store.database import Database
from tidewire.store.quote_records import Outcome
from tidewire.store.quotes import Quotes

NOW = 1_700_000_000.0
ENDS = (CalculationState.FAILED, CalculationState.DISCARDED, CalculationState.TIMED_OUT)


async def add_quote(database: Database) -> str:
    """Store a quote; return its number."""
    values = {"customer_name": "Ada", "state": "CA", "product": "personal_auto"}
    decision = create(str(uuid.uuid4()), values, Act(SYSTEM, NOW))  # type: ignore[arg-type]
    return (await Quotes(database, index_of).add(decision)).quote.id


async def store(database: Database, calculations: Calculations, record: CalculationRecord) -> Outcome:
    """Store a premium of a calculation, as the job does."""
    premium = Premium(
        amount="1.00", currency="USD", term_months=6, plan="p@1", calculation_id=record.calculation_id,
        based_on_version=record.based_on_version, at=NOW,
    )  # fmt: skip
    act = Act(Author(1, "ada", "http"), NOW, record.calculation_id)
    return await Quotes(database, index_of).change(
        record.quote_id,
        lambda quote: rate(quote, premium, act),
        actor_id=1,
        op_id=record.calculation_id,
        also=calculations.done(record, NOW + 1),
    )


def new(name: str = "t", deadline_at: float = NOW + 10) -> NewCalculation:
    """What a calculation is begun with."""
    return NewCalculation(name, 1, "ada", "here", NOW, deadline_at)


async def test_a_calculation_comes_back_as_begun(database: Database) -> None:
    """With the quote's version, a number and a name of its own; the second one has the next number."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    assert await calculations.get(quote_id) is None
    first, superseded, _ = await calculations.begin(quote_id, new())
    assert superseded is None
    assert first == CalculationRecord(quote_id, 1, "k1-t", CalculationState.RUNNING, 3, 1, "ada", "here", NOW, NOW + 10)
    assert await calculations.get(quote_id) == first
    second, superseded, _ = await calculations.begin(quote_id, new("u"))
    assert (second.serial, second.calculation_id, superseded) == (2, "k2-u", first)
    assert await calculations.get(quote_id) == second


async def test_a_quote_that_is_not_there_is_not_calculated(database: Database) -> None:
    """Nothing is stored for it."""
    with pytest.raises(NotFound):
        await Calculations(database).begin(str(uuid.uuid4()), new())


async def test_only_one_that_runs_is_superseded(database: Database) -> None:
    """One that has ended is not told as superseded by the next."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    record, *_ = await calculations.begin(quote_id, new())
    assert await calculations.end(record, CalculationState.FAILED, NOW, {"code": "x"})
    assert (await calculations.begin(quote_id, new()))[1] is None


async def test_an_older_calculation_ends_in_no_way(database: Database) -> None:
    """Once a newer one has begun, no end of the older one has any effect, and its premium is not stored."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    older, *_ = await calculations.begin(quote_id, new("a"))
    newer, *_ = await calculations.begin(quote_id, new("b"))
    for state in ENDS:
        assert not await calculations.end(older, state, NOW)
    with pytest.raises(Conflict):
        await store(database, calculations, older)
    await calculations.note_told(older)
    assert await calculations.get(quote_id) == newer
    assert (await Quotes(database, index_of).get(quote_id)).premium is None


async def test_a_premium_and_its_calculation_are_done_together_and_once(database: Database) -> None:
    """The same operation sent again is the first one's outcome, although the calculation has ended."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    record, *_ = await calculations.begin(quote_id, new())
    first = await store(database, calculations, record)
    now = await calculations.get(quote_id)
    assert now is not None
    assert (now.state, now.ended_at, now.told) == (CalculationState.DONE, NOW + 1, False)
    again = await store(database, calculations, record)
    assert (first.repeated, again.repeated) == (False, True)
    assert again.quote.version == first.quote.version
    assert (again.quote.premium or {})["calculation_id"] == record.calculation_id


@pytest.mark.parametrize("end", ENDS)
async def test_every_end_is_final(database: Database, end: CalculationState) -> None:
    """What has ended in one way ends in no other, and its premium is not stored."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    record, *_ = await calculations.begin(quote_id, new())
    assert await calculations.end(record, end, NOW + 1, {"code": "x"})
    for other in ENDS:
        assert not await calculations.end(record, other, NOW + 2)
    with pytest.raises(Conflict):
        await store(database, calculations, record)
    now = await calculations.get(quote_id)
    assert now is not None
    assert (now.state, now.ended_at, now.error) == (end, NOW + 1, {"code": "x"})


async def test_of_many_that_begin_at_once_each_has_its_own_number(database: Database) -> None:
    """Also the first ones of a quote, for which there is no row yet; each but the last is superseded once."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    begun = await asyncio.gather(*(calculations.begin(quote_id, new(f"t{n}")) for n in range(6)))
    assert sorted(record.serial for record, *_ in begun) == list(range(1, 7))
    superseded = [before.calculation_id for _, before, _ in begun if before is not None]
    newest = max((record for record, *_ in begun), key=lambda record: record.serial)
    assert sorted([*superseded, newest.calculation_id]) == sorted(record.calculation_id for record, *_ in begun)


async def test_of_two_that_end_the_same_calculation_one_succeeds(database: Database) -> None:
    """The node that calculated and one that swept: the first one's word stands."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    record, *_ = await calculations.begin(quote_id, new())
    ends = (CalculationState.FAILED, CalculationState.TIMED_OUT)
    moved = await asyncio.gather(*(calculations.end(record, end, NOW) for end in ends))
    assert sorted(moved) == [False, True]


async def test_what_is_past_its_deadline_and_untold_is_found(database: Database) -> None:
    """Running or ended; not what is told, and not before its time; the longest overdue first."""
    calculations = Calculations(database)
    due = []
    for seconds in (3, 1, 2, 9):
        record, *_ = await calculations.begin(await add_quote(database), new(deadline_at=NOW + seconds))
        due.append(record)
    await calculations.note_told(due[2])
    await calculations.end(due[1], CalculationState.FAILED, NOW)
    found = await calculations.unfinished(NOW + 5, 10)
    assert [record.quote_id for record in found] == [due[1].quote_id, due[0].quote_id]
    assert [record.state for record in found] == [CalculationState.FAILED, CalculationState.RUNNING]
    assert len(await calculations.unfinished(NOW + 5, 1)) == 1


async def test_the_same_request_begins_once_whoever_is_first(database: Database) -> None:
    """Of six in the same moment one begins; all get the same record, also after the next has taken the row."""
    quote_id, calculations = await add_quote(database), Calculations(database)
    request = CalculationRequest(1, "k-1", "d" * 64)
    assert await calculations.begun_by(quote_id, request) is None
    begun = await asyncio.gather(*(calculations.begin(quote_id, new(f"t{n}"), request) for n in range(6)))
    assert sorted(each.repeated for each in begun) == [False] + [True] * 5
    assert len({each.record.calculation_id for each in begun}) == 1
    assert await calculations.get(quote_id) == begun[0].record
    newer, superseded, _ = await calculations.begin(quote_id, new("u"))
    assert superseded == begun[0].record
    assert await calculations.begun_by(quote_id, request) == begun[0].record
    assert (await calculations.begin(quote_id, new("v"), request)) == (begun[0].record, None, True)
    assert await calculations.get(quote_id) == newer


async def test_another_request_with_the_key_begins_nothing(database: Database) -> None:
    """Another body, or an edit that had the key; another person's and another quote's key are their own."""
    quote_id, other, calculations = await add_quote(database), await add_quote(database), Calculations(database)
    request = CalculationRequest(1, "k-1", "d" * 64)
    first = (await calculations.begin(quote_id, new(), request)).record
    edited = Act(Author(1, "ada", "http"), NOW, "k-2")
    quotes = Quotes(database, index_of)
    await quotes.change(
        quote_id, lambda quote: apply_edits(quote, [Edit("notes", "x")], edited), actor_id=1, op_id="k-2"
    )
    for wrong in (CalculationRequest(1, "k-1", "e" * 64), CalculationRequest(1, "k-2", "d" * 64)):
        with pytest.raises(Conflict) as refused:
            await calculations.begin(quote_id, new(), wrong)
        assert refused.value.code == "op_id_reused"
        with pytest.raises(Conflict):
            await calculations.begun_by(quote_id, wrong)
    assert await calculations.get(quote_id) == first
    assert not (await calculations.begin(other, new(), request)).repeated
    assert not (await calculations.begin(quote_id, new(), CalculationRequest(2, "k-1", "d" * 64))).repeated
