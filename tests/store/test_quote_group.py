"""Changes of many quotes in one transaction, on both databases."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter

import pytest
from sqlalchemy import Connection, text

from tests.support.postgres import create_database, drop_database
from tidewire.core.errors import Conflict, NotFound
from tidewire.quotes import editing
from tidewire.quotes.editing import Act, Author, Edit
from tidewire.store import migrate
from tidewire.store.bulkhead import Bulkhead
from tidewire.store.database import Database
from tidewire.store.quote_group import Decide
from tidewire.store.quote_records import Change, Decision, Outcome, Quote
from tidewire.store.quotes import Quotes

ADA = Author(1, "ada", "c-1")
BASIC = {"customer_name": "Grace Hopper", "state": "CA", "product": "personal_auto"}
NOW = 1_700_000_000.0
FIELDS = ("notes", "vehicle_make", "vehicle_model", "driver_name")


@pytest.fixture
def quotes(database: Database) -> Quotes:
    """The queries."""
    return Quotes(database, editing.index_of)


async def add(quotes: Quotes) -> str:
    """Store a new quote; return its number."""
    number = str(uuid.uuid4())
    await quotes.add(editing.create(number, BASIC, Act(ADA, NOW)))
    return number


def setting(field: str, value: str, op_id: str | None = None, base: int | None = 0) -> Decide:
    """Return what decides an edit."""
    return lambda quote: editing.apply_edits(quote, [Edit(field, value, base)], Act(ADA, NOW + 1, op_id))


async def change(quotes: Quotes, number: str, decide: Decide, op_id: str | None = None) -> Outcome:
    """Change a quote as Ada."""
    return await quotes.change(number, decide, actor_id=1, op_id=op_id)


async def test_edits_of_one_moment_share_transactions_and_lose_nothing(quotes: Quotes) -> None:
    """Every edit of many quotes is stored once, versions have no hole, and the history makes the quote."""
    numbers = [await add(quotes) for _ in range(12)]
    wanted = [(number, field) for number in numbers for field in FIELDS]
    before = dict(quotes.statistics())
    outcomes = await asyncio.gather(
        *(change(quotes, number, setting(field, field, field), field) for number, field in wanted)
    )
    more = {name: count - before[name] for name, count in quotes.statistics().items()}
    assert (more["grouped"], more["alone"]) == (len(wanted), 0)
    assert 0 < more["groups"] < len(wanted) / 8
    assert [len(outcome.changes) for outcome in outcomes] == [1] * len(wanted)
    for number in numbers:
        stored, changes = await quotes.get(number), await quotes.changes(number)
        assert {field: stored.value(field) for field in FIELDS} == {field: field for field in FIELDS}
        assert [each.version for each in changes] == list(range(1, stored.version + 1))
        again = editing.replayed(number, changes)
        assert (again.version, again.fields) == (stored.version, stored.fields)
    assert Counter(outcome.quote.version for outcome in outcomes) == {4: 12, 5: 12, 6: 12, 7: 12}


async def test_one_that_cannot_be_costs_the_others_nothing(quotes: Quotes) -> None:
    """In one group: a conflict, an unknown quote, an operation from before and a good edit."""
    number, other = await add(quotes), await add(quotes)
    await change(quotes, number, setting("notes", "first", "op"), "op")
    conflict, unknown, repeated, good = await asyncio.gather(
        change(quotes, number, setting("notes", "late")),
        change(quotes, str(uuid.uuid4()), setting("notes", "nobody's")),
        change(quotes, number, setting("notes", "first", "op"), "op"),
        change(quotes, other, setting("notes", "good")),
        return_exceptions=True,
    )
    assert isinstance(conflict, Conflict)
    assert conflict.code == "conflict"
    assert isinstance(unknown, NotFound)
    assert isinstance(repeated, Outcome)
    assert repeated.repeated
    assert isinstance(good, Outcome)
    assert (await quotes.get(other)).value("notes") == "good"
    assert [each.after for each in await quotes.changes(number, after=3)] == ["first"]


async def test_one_operation_twice_in_a_group_is_stored_once(quotes: Quotes) -> None:
    """The second one finds the outcome of the first."""
    number = await add(quotes)
    both = await asyncio.gather(*(change(quotes, number, setting("notes", "x", "op"), "op") for _ in range(2)))
    assert sorted(outcome.repeated for outcome in both) == [False, True]
    assert len(await quotes.changes(number)) == 4


def out_of_order(quote: Quote) -> Decision:
    """Decide what no database may take: a version that there is already."""
    return Decision(quote, [Change(1, "notes", 1, None, "x", NOW, 1, "ada", None, "c-1")])


def broken(quote: Quote) -> Decision:
    """A bug."""
    raise ValueError(quote.id)


@pytest.mark.parametrize(("decide", "error"), [(out_of_order, Conflict), (broken, ValueError)])
async def test_one_that_breaks_the_group_breaks_alone(quotes: Quotes, decide: Decide, error: type[Exception]) -> None:
    """A rule of the database or a bug refuses its own edit; those beside it are stored, once each."""
    numbers = [await add(quotes) for _ in range(4)]
    outcomes = await asyncio.gather(
        change(quotes, numbers[0], decide),
        *(change(quotes, number, setting("notes", "good", "op"), "op") for number in numbers[1:]),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], error)
    assert [isinstance(outcome, Outcome) for outcome in outcomes[1:]] == [True] * 3
    assert [(await quotes.get(number)).version for number in numbers] == [3, 4, 4, 4]


async def test_a_locked_quote_holds_up_nobody_else(postgres: str) -> None:
    """While somebody else holds one quote's row, edits of others in the same group are stored; SQLite locks no rows."""
    url = await create_database(postgres)
    await migrate.upgrade(url)
    database = Database(url, Bulkhead("test", connections=4, deadline_s=20.0))
    quotes = Quotes(database, editing.index_of)
    held, free = await add(quotes), await add(quotes)
    async with database.write() as session:
        await session.execute(text("SELECT 1 FROM quotes WHERE id = :id FOR UPDATE"), {"id": held})
        waits = asyncio.ensure_future(change(quotes, held, setting("notes", "later")))
        done = await change(quotes, free, setting("notes", "now"))
        assert done.quote.value("notes") == "now"
        assert not waits.done()
    assert (await waits).quote.value("notes") == "later"
    await database.stop()
    await drop_database(postgres, url)


async def test_work_at_once_that_raises_stores_nothing(database: Database, quotes: Quotes) -> None:
    """A transaction in one errand is rolled back as any other, and the next one works."""
    number = await add(quotes)

    def work(connection: Connection) -> None:
        connection.execute(text("UPDATE quotes SET customer = 'nobody'"))
        raise Conflict("No.", required_action="None.", will_not="Nothing.")

    with pytest.raises(Conflict):
        await database.write_at_once(work)
    statement = text("SELECT customer FROM quotes WHERE id = :id")
    read = await database.write_at_once(lambda connection: connection.execute(statement, {"id": number}).scalar())
    assert read == "Grace Hopper"
