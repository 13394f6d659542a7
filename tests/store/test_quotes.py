"""Queries over quotes, on both databases."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest
from sqlalchemy import text

from tidewire.core.errors import Conflict, NotFound, StoreError
from tidewire.quotes import editing
from tidewire.quotes.editing import Act, Author, Edit
from tidewire.store.database import Database
from tidewire.store.quote_records import Decision, Quote, QuoteFilter
from tidewire.store.quotes import Quotes

ADA, BOB = Author(1, "ada", "c-1"), Author(2, "bob", "c-2")
BASIC = {"customer_name": "Grace Hopper", "state": "CA", "product": "personal_auto"}
NOW = 1_700_000_000.0


@pytest.fixture
def quotes(database: Database) -> Quotes:
    """The queries."""
    return Quotes(database, editing.index_of)


async def add(quotes: Quotes, now: float = NOW, **fields: str) -> str:
    """Store a new quote; return its number."""
    number = str(uuid.uuid4())
    await quotes.add(editing.create(number, {**BASIC, **fields}, Act(ADA, now)))
    return number


def setting(field: str, value: str, base: int | None, act: Act) -> Callable[[Quote], Decision]:
    """Return what decides an edit."""
    return lambda quote: editing.apply_edits(quote, [Edit(field, value, base)], act)


async def test_what_is_stored_is_read_back(quotes: Quotes) -> None:
    """A quote comes back as it was decided, and its changes make it again."""
    made = editing.create(str(uuid.uuid4()), {**BASIC, "vehicle_value": "25000.00", "notes": None}, Act(ADA, NOW))
    assert (await quotes.add(made)).repeated is False
    assert await quotes.get(made.quote.id) == made.quote
    act = Act(BOB, NOW + 1, "op")
    done = await quotes.change(made.quote.id, setting("notes", "x", 0, act), actor_id=2, op_id="op")
    stored = await quotes.get(made.quote.id)
    assert stored == done.quote
    again = editing.replayed(made.quote.id, await quotes.changes(made.quote.id))
    assert (again.version, again.fields, again.status) == (stored.version, stored.fields, stored.status)


async def test_an_operation_is_stored_once(quotes: Quotes) -> None:
    """Sent again, also at the same time and long after, it has its first outcome; of another author it is another."""
    number = await add(quotes)
    act = Act(ADA, NOW + 1, "op")
    decide = setting("notes", "x", 0, act)
    outcomes = await asyncio.gather(
        *(quotes.change(number, decide, actor_id=1, op_id="op") for _ in range(6)), return_exceptions=True
    )
    done = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert sorted(outcome.repeated for outcome in done) == [False] + [True] * 5
    assert {outcome.changes[0].version for outcome in done} == {4}
    await quotes.change(number, setting("notes", "y", 1, Act(ADA, NOW + 2)), actor_id=1, op_id=None)
    late = await quotes.change(number, decide, actor_id=1, op_id="op")
    assert (late.repeated, late.changes[0].after, late.quote.value("notes")) == (True, "x", "y")
    with pytest.raises(Conflict):
        await quotes.change(number, decide, actor_id=2, op_id="op")
    assert [change.version for change in await quotes.changes(number)] == [1, 2, 3, 4, 5]


async def test_edits_of_one_field_conflict_and_of_different_ones_do_not(quotes: Quotes) -> None:
    """Of edits of the same revision one is stored; edits of other fields at the same moment all are."""
    number = await add(quotes)
    fields = ["vehicle_make", "vehicle_model", "driver_name", "customer_email"]
    wanted = [setting(field, "a@example.org", 0, Act(ADA, NOW + 1)) for field in fields]
    wanted += [setting("notes", f"{n}", 0, Act(ADA, NOW + 1)) for n in range(3)]
    outcomes = await asyncio.gather(
        *(quotes.change(number, decide, actor_id=1, op_id=None) for decide in wanted), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert [type(error) for error in refused] == [Conflict, Conflict]
    quote = await quotes.get(number)
    assert quote.version == 8
    assert all(quote.revision(field) == 1 for field in [*fields, "notes"])


async def test_a_refused_change_leaves_nothing(quotes: Quotes) -> None:
    """What the decision raises is raised, and neither quote nor changes differ."""
    number = await add(quotes)
    before = await quotes.get(number)
    with pytest.raises(Conflict) as refused:
        await quotes.change(number, setting("state", "NY", 7, Act(BOB, NOW + 1, "op")), actor_id=2, op_id="op")
    assert refused.value.details is not None
    assert (refused.value.details["value"], refused.value.details["revision"]) == ("CA", 1)
    assert await quotes.get(number) == before
    assert len(await quotes.changes(number)) == 3


async def test_changes_cannot_be_altered(quotes: Quotes, database: Database) -> None:
    """The database itself refuses to update or delete a change."""
    number = await add(quotes)
    for statement in ("UPDATE quote_changes SET actor = 'eve'", "DELETE FROM quote_changes"):
        with pytest.raises(StoreError):
            async with database.write() as session:
                await session.execute(text(statement))
    assert {change.actor for change in await quotes.changes(number)} == {"ada"}


async def test_the_list_is_paged_by_place(quotes: Quotes) -> None:
    """Pages are newest first, without repetition or hole, also while quotes are made; equal times are told apart."""
    numbers = [await add(quotes, NOW + n // 3) for n in range(10)]
    seen: list[str] = []
    after = None
    while True:
        page = await quotes.page(QuoteFilter(), limit=3, after=after)
        seen += [quote.id for quote in page.quotes]
        await add(quotes, NOW + 100 + len(seen))
        if (after := page.after) is None:
            break
    assert sorted(seen) == sorted(numbers)
    assert [numbers.index(number) // 3 for number in seen] == sorted((n // 3 for n in range(10)), reverse=True)


async def test_the_list_is_searched_and_filtered(quotes: Quotes) -> None:
    """All words of a search must be there, in any case and literally; filters and counts go together."""
    one = await add(quotes, vehicle_make="Škoda", driver_name="Ada")
    two = await add(quotes, state="NY", customer_name="100% Grace_")
    for search, wanted in [
        ("šKODA grace", {one}),
        ("100%", {two}),
        ("%", {two}),
        ("_", {two}),
        (two[:13], {two}),
        ("nobody", set()),
    ]:
        page = await quotes.page(QuoteFilter(search=search), limit=10)
        assert {quote.id for quote in page.quotes} == wanted, search
    page = await quotes.page(QuoteFilter(statuses=("draft", "bound"), states=("NY",)), limit=10)
    assert [quote.id for quote in page.quotes] == [two]
    assert await quotes.counts(QuoteFilter(states=("NY", "CA"))) == {"draft": 2}
    assert await quotes.counts(QuoteFilter(search="nobody")) == {}


async def test_only_those_due_are_due(quotes: Quotes) -> None:
    """Quotes whose time is over come, the longest over first, in the number asked for."""
    numbers = [await add(quotes, NOW + n) for n in range(3)]
    over = NOW + 1 + editing.DRAFT_LIFE_S
    assert await quotes.due(["draft", "quoted"], over, 10) == numbers[:2]
    assert await quotes.due(["draft", "quoted"], over, 1) == numbers[:1]
    assert await quotes.due(["quoted"], over, 10) == []


async def test_an_unknown_quote_is_not_found(quotes: Quotes) -> None:
    """Reading and changing say so; it has no changes."""
    number = str(uuid.uuid4())
    with pytest.raises(NotFound):
        await quotes.get(number)
    with pytest.raises(NotFound):
        await quotes.change(number, setting("notes", "x", 0, Act(ADA, NOW)), actor_id=1, op_id="op")
    assert await quotes.changes(number) == []


async def test_versions_names_what_has_been_changed_since(quotes: Quotes) -> None:
    """A quote that was only made is not among them; one that was changed later is."""
    made, changed = await add(quotes), await add(quotes)
    await quotes.change(changed, setting("notes", "x", 0, Act(ADA, NOW + 5)), actor_id=1, op_id=None)
    assert await quotes.versions([made, changed], NOW - 1) == {changed: 4}
    assert await quotes.versions([made, changed], NOW + 6) == {}
    assert await quotes.versions([], NOW - 1) == {}
