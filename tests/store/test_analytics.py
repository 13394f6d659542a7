"""Analytics' queries against figures counted by hand, on SQLite and on Postgres, and the plans they run by."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Awaitable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, text, update

from tests.support.analytics_rows import HOUR_S, NOW, QUOTES, Made, ask, hour, put, some
from tidewire.store.analytics import Analytics
from tidewire.store.analytics_records import Figure, Scope
from tidewire.store.database import Database
from tidewire.store.timing_records import BOUNDS_MS, Timing, TimingKey
from tidewire.store.timings import Timings

SINCE = NOW - 24 * HOUR_S


def table(figures: list[Figure], part: str) -> dict[str, tuple[Any, ...]]:
    """Return a part's rows by key, without what it leaves empty."""
    return {
        one.key: tuple(value for value in (one.first, one.second, one.third, one.exact) if value is not None)
        for one in figures
        if one.part == part
    }


def of(made: list[Made], scope: Scope) -> list[Made]:
    """Return those that a scope means, by whenever they were made."""
    return [m for m in made if scope.state in ("", m.state) and scope.product in ("", m.product)]


SCOPES = [
    Scope(SINCE),
    Scope(SINCE, state="CA"),
    Scope(SINCE, product="other_auto"),
    Scope(SINCE, "NY", "personal_auto"),
    Scope(NOW - HOUR_S),
    Scope(SINCE, state="TX"),
]


@pytest.mark.parametrize("scope", SCOPES)
async def test_quotes_are_counted_as_by_hand(database: Database, scope: Scope) -> None:
    """Totals, customers, statuses, states, premiums and hours are those of the quotes that were put there."""
    made = some(300)
    await put(database, made)
    found = await Analytics(database).quotes(scope)
    mine = [m for m in of(made, scope) if m.created_at >= scope.since]
    assert table(found, "total") == {"": (len(mine), len({m.customer for m in mine}))}
    assert table(found, "status") == {name: (n,) for name, n in Counter(m.status for m in mine).items()}
    states = Counter(m.state for m in mine)
    bound = Counter(m.state for m in mine if m.status == "bound")
    assert table(found, "state") == {name: (n, bound[name]) for name, n in states.items()}
    cents = [int(Decimal(m.amount) * 100) for m in mine if m.amount is not None]
    assert table(found, "premium") == ({"USD": (len(cents), sum(cents))} if cents else {})
    assert table(found, "created") == {str(at): (n,) for at, n in Counter(hour(m.created_at) for m in mine).items()}
    for part, moment in (("quoted", "quoted_at"), ("bound", "bound_at")):
        moments = [getattr(m, moment) for m in of(made, scope)]
        hours = Counter(hour(at) for at in moments if at is not None and at >= scope.since)
        assert table(found, part) == {str(at): (n,) for at, n in hours.items()}


async def test_quotes_are_counted_as_plain_sql_counts_them(database: Database) -> None:
    """Each figure is what a statement of one line says."""
    await put(database, some(300, seed=2))
    found = await Analytics(database).quotes(Scope(SINCE))
    since = "datetime('{}', 'unixepoch')" if database.kind == "sqlite" else "to_timestamp({})"
    # The boundary lies between two quotes for certain: no quote is made in that second.
    recent = f"FROM quotes WHERE created_at > {since.format(int(SINCE))}"
    ((quotes, customers),) = await ask(database, f"SELECT count(*), count(DISTINCT customer) {recent}")
    assert table(found, "total") == {"": (quotes, customers)}
    rows = await ask(database, f"SELECT status, count(*) {recent} GROUP BY status")
    assert table(found, "status") == {name: (n,) for name, n in rows}
    amount = "json_extract(premium, '$.amount')" if database.kind == "sqlite" else "premium ->> 'amount'"
    ((priced, total),) = await ask(
        database, f"SELECT count({amount}), sum(CAST({amount} AS numeric)) {recent} AND premium IS NOT NULL"
    )
    ((count, cents),) = table(found, "premium").values()
    assert (count, cents) == (priced, round(float(total) * 100))


@pytest.mark.parametrize("scope", SCOPES)
async def test_conversion_is_followed_as_by_hand(database: Database, scope: Scope) -> None:
    """Drafted, quoted and bound in all, by state and by product; and how long binding took."""
    made = some(300, seed=3)
    await put(database, made)
    found = await Analytics(database).conversion(scope)
    mine = [m for m in of(made, scope) if m.created_at >= scope.since]

    def funnel(some_of_them: list[Made]) -> tuple[int, int, int]:
        quoted = [m for m in some_of_them if m.quoted_at is not None]
        return len(some_of_them), len(quoted), sum(m.bound_at is not None for m in some_of_them)

    assert table(found, "funnel") == {"": funnel(mine)}
    for part in ("state", "product"):
        names = {getattr(m, part) for m in mine}
        assert table(found, part) == {name: funnel([m for m in mine if getattr(m, part) == name]) for name in names}
    took = sorted(m.bound_at - m.created_at for m in mine if m.bound_at is not None)
    times = {part: [one for one in found if one.part == part] for part in ("time", "median", "p90")}
    assert times["time"][0].first == len(took)
    if took:
        assert times["time"][0].exact == pytest.approx(sum(took) / len(took), abs=1e-5)
        assert [one.exact for one in times["median"]] == [pytest.approx(took[math.ceil(len(took) / 2) - 1], abs=1e-5)]
        assert [one.exact for one in times["p90"]] == [pytest.approx(took[math.ceil(len(took) * 0.9) - 1], abs=1e-5)]
    else:
        assert times["time"][0].exact is None
        assert times["median"] == times["p90"] == []


@pytest.mark.parametrize("number", range(1, 22))
async def test_ranks_are_right_for_every_number(database: Database, number: int) -> None:
    """Median and 90th percentile are one row each, of the nearest rank, whatever the number of quotes."""
    await put(database, [Made(NOW - 900, bound_at=NOW - 900 + n, quoted_at=NOW - 900) for n in range(1, number + 1)])
    found = {one.part: one.exact for one in await Analytics(database).conversion(Scope(SINCE)) if one.exact is not None}
    assert found["median"] == pytest.approx(math.ceil(number / 2), abs=1e-5)
    assert found["p90"] == pytest.approx(math.ceil(number * 9 / 10), abs=1e-5)


async def test_nothing_counts_as_nothing(database: Database) -> None:
    """Without quotes there are zeros and no rows, not an error."""
    found = await Analytics(database).quotes(Scope(SINCE))
    assert [(one.part, one.first, one.second) for one in found] == [("total", 0, 0)]
    funnel = await Analytics(database).conversion(Scope(SINCE))
    assert [(one.part, one.first, one.exact) for one in funnel] == [("funnel", 0, None), ("time", 0, None)]
    assert await Analytics(database).performance(SINCE, 300) == []


async def test_a_filter_is_a_value_not_sql(database: Database) -> None:
    """A filter that looks like SQL matches nothing, and nothing is lost."""
    await put(database, [Made(NOW - 5)])
    evil = "CA' OR '1'='1"
    assert table(await Analytics(database).quotes(Scope(SINCE, state=evil)), "total") == {"": (0, 0)}
    assert table(await Analytics(database).quotes(Scope(SINCE)), "total") == {"": (1, 1)}


async def test_times_add_up_over_nodes_outcomes_and_repeated_writes(database: Database) -> None:
    """What two nodes write bit by bit is the sum of all, by outcome and by step; what is older does not count."""
    chance, truth = random.Random(1), {}
    for _ in range(6):
        written: dict[TimingKey, Timing] = {}
        for _ in range(40):
            step = int(SINCE // 300) * 300 + 300 * chance.randrange(-3, 9)
            key = TimingKey(
                chance.choice(("api", "calculation")), step, chance.choice("ab"), chance.choice(("2xx", "5xx"))
            )
            took = chance.choice((0.5, 1.0, 7.25, 80.0, 3_000.0, 9_999.0))
            written.setdefault(key, Timing()).add(took)
            truth.setdefault(key, []).append(took)
        await Timings(database).add(written)
    found = await Analytics(database).performance(SINCE, 600)
    recent = {key: took for key, took in truth.items() if key.step_at >= SINCE}
    for kind in ("api", "calculation"):
        for outcome in ("2xx", "5xx"):
            took = [
                one for key, all_of in recent.items() if (key.kind, key.outcome) == (kind, outcome) for one in all_of
            ]
            (whole,) = [t for t in found if (t.kind, t.outcome, t.at) == (kind, outcome, None)]
            assert whole.timing.count == len(took) == sum(whole.timing.buckets)
            assert whole.timing.total_ms == pytest.approx(sum(took))
            for number, bound in enumerate(BOUNDS_MS):
                assert sum(whole.timing.buckets[: number + 1]) == sum(one <= bound for one in took)
    steps = Counter()
    for key, took in recent.items():
        steps[key.kind, key.outcome, key.step_at // 600 * 600] += len(took)
    assert {(t.kind, t.outcome, t.at): t.timing.count for t in found if t.at is not None} == steps


async def test_old_times_are_forgotten(database: Database) -> None:
    """A purge takes what is older, and nothing else."""
    timing = Timing()
    timing.add(5.0)
    await Timings(database).add({TimingKey("api", step, "a", "2xx"): timing for step in (300, 600, 900)})
    await Timings(database).purge(600)
    assert sorted(one.at for one in await Analytics(database).performance(0, 300) if one.at is not None) == [600, 900]


async def _plan(database: Database, ask_for: Awaitable[object]) -> str:
    """Return how the database runs the statement that is asked for."""
    ran: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        ran.append((statement, values))

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await ask_for
    event.remove(engine, "before_cursor_execute", note)
    ((statement, values),) = [one for one in ran if one[0].startswith("WITH")]
    explain = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
    async with database.read() as session:
        rows = await (await session.connection()).exec_driver_sql(f"{explain} {statement}", values)
        return "\n".join(str(row[-1]) for row in rows)


async def test_recent_rows_are_found_by_index(database: Database) -> None:
    """Of many days only those asked for are read: by the indexes made for it, never by reading a whole table."""
    await put(database, some(12_000, span_s=60 * 24 * HOUR_S))
    day = range(0, 24 * HOUR_S, 300)
    for begin in range(int(NOW) - 60 * 24 * HOUR_S, int(NOW), 24 * HOUR_S):
        await Timings(database).add({TimingKey("api", begin + at, "a", "2xx"): Timing() for at in day})
    async with database.write() as session:
        await session.execute(text("ANALYZE"))
    scope, analytics = Scope(NOW - 6 * HOUR_S), Analytics(database)
    of_one_state = await _plan(database, analytics.quotes(Scope(scope.since, state="CA")))
    if database.kind == "sqlite":
        assert "ix_quotes_id_state_product" in of_one_state, of_one_state
    plans = {
        "quotes": await _plan(database, analytics.quotes(scope)),
        "conversion": await _plan(database, analytics.conversion(scope)),
        "performance": await _plan(database, analytics.performance(scope.since, 300)),
    }
    for name in ("quotes", "conversion"):
        assert "ix_quotes_created_at_id_state_product_status_customer" in plans[name], plans[name]
        assert "ix_quote_changes_status_" in plans[name], plans[name]
        if database.kind == "sqlite":
            # Of quotes and changes nothing but indexes is read: rows are long. Premiums are in an index of their own.
            searches = [line for line in plans[name].splitlines() if line.startswith("SEARCH")]
            assert [line for line in searches if "COVERING" not in line and "ix_quotes_priced" not in line] == []
    timings = "sqlite_autoindex_analytics_timings_1" if database.kind == "sqlite" else "pk_analytics_timings"
    assert timings in plans["performance"], plans["performance"]
    for plan in plans.values():
        for whole in ("SCAN quotes", "SCAN quote_changes", "SCAN analytics_timings", "Seq Scan on"):
            assert whole not in plan, plan


async def test_a_premium_is_taken_from_the_index_as_it_stands_in_the_quote(database: Database) -> None:
    """After a premium has been changed, taken away and given in another currency, the sums are those of the rows."""
    numbers = await put(database, [Made(NOW - 5, bound_at=NOW - 4, quoted_at=NOW - 4, amount="10.10")] * 4)
    for number, premium in zip(numbers, (None, ("0.07", "EUR"), ("1000000.01", "USD")), strict=False):
        value = None if premium is None else {"amount": premium[0], "currency": premium[1]}
        async with database.write() as session:
            await session.execute(update(QUOTES).where(QUOTES.c.id == number).values(premium=value))
    found = await Analytics(database).quotes(Scope(SINCE))
    assert table(found, "premium") == {"EUR": (1, 7), "USD": (2, 100_001_011)}
