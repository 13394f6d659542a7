"""The quotes behind a figure: the list's filters find exactly those that were counted, on SQLite and on Postgres."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text

from tests.support.analytics_rows import HOUR_S, NOW, hour, put, some
from tests.support.platform import Served
from tidewire.analytics.counting import Counting
from tidewire.analytics.rules import View
from tidewire.quotes.editing import index_of
from tidewire.store.analytics import Analytics
from tidewire.store.database import Database
from tidewire.store.quote_records import QuoteFilter, Span
from tidewire.store.quotes import Quotes

SINCE = NOW - 24 * HOUR_S
MADE = Span(SINCE, NOW)


async def listed(database: Database, **wanted: Any) -> int:
    """Return how many quotes the list has, by its counts and by its rows, which must agree."""
    quotes = Quotes(database, index_of)
    try:
        filtered = QuoteFilter(**wanted)
        page = await quotes.page(filtered, limit=1_000)
        counts = await quotes.counts(filtered)
    finally:
        await quotes.stop()
    statuses = filtered.statuses or tuple(counts)
    assert len({quote.id for quote in page.quotes}) == sum(counts.get(status, 0) for status in statuses)
    return len(page.quotes)


@pytest.mark.parametrize("narrow", [{}, {"state": "CA"}, {"product": "other_auto"}])
async def test_each_kind_of_figure_has_its_list(both: Database, narrow: dict[str, str]) -> None:
    """Totals, statuses, states, stages, products and hours: as many in the list as were counted."""
    await put(both, some(400))
    counting, same = Counting(Analytics(both)), {f"{name}s": (value,) for name, value in narrow.items()}
    quotes: Any = await counting.count(View("quotes", **narrow), NOW)
    reached: Any = await counting.count(View("conversion", **narrow), NOW)
    assert await listed(both, created=MADE, **same) == quotes["totals"]["quotes"] > 0
    for status, count in quotes["statuses"].items():
        assert await listed(both, created=MADE, statuses=(status,), **same) == count
    for row in quotes["states"]["top"]:
        of = {**same, "states": (row["state"],), "created": MADE}
        assert await listed(both, **of) == row["quotes"]
        assert await listed(both, statuses=("bound",), **of) == row["bound"]
    stages = {"drafted": {}, "quoted": {"quoted": MADE}, "bound": {"bound": MADE}}
    for stage, moved in stages.items():
        assert await listed(both, created=MADE, **moved, **same) == reached["funnel"][stage]
        for part in ("state", "product"):
            for row in reached[f"{part}s"]:
                of = {**same, f"{part}s": (row[part],), "created": MADE}
                assert await listed(both, **moved, **of) == row[stage]
    assert reached["funnel"]["bound"] > 0
    line = quotes["timeline"]
    assert line["from"] == hour(SINCE)
    for what in ("created", "quoted", "bound"):
        for place, count in enumerate(line[what]):
            begin = line["from"] + place * HOUR_S
            span = Span(max(begin, SINCE), min(begin + HOUR_S, NOW))
            assert await listed(both, **{what: span}, **same) == count, (what, place)


async def test_the_list_of_a_time_is_found_by_index(both: Database) -> None:
    """Of sixty days the hour that is asked for is read, not the table: rows and counts, however it is asked."""
    for begin in range(0, 6_000, 3_000):
        await put(both, some(3_000, seed=begin, span_s=60 * 24 * HOUR_S))
    async with both.write() as session:
        await session.execute(text("ANALYZE"))
    last = Span(NOW - HOUR_S, NOW)
    for wanted in ({"created": last}, {"quoted": last}, {"bound": last}, {"created": MADE, "bound": MADE}):
        for plan in await plans(both, **wanted):
            assert "ix_quotes_created_at" in plan or "ix_quote_changes_status_at" in plan, (wanted, plan)
            for whole in ("SCAN quotes", "SCAN quote_changes", "Seq Scan on"):
                assert whole not in plan, (wanted, plan)


async def plans(database: Database, **wanted: Any) -> list[str]:
    """Return how the database runs the statements of a list."""
    ran: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            ran.append((statement, values))

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    await listed(database, **wanted)
    event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
    found = []
    async with database.read() as session:
        for statement, values in ran:
            rows = await (await session.connection()).exec_driver_sql(f"{explain} {statement}", values)
            found.append("\n".join(str(row[-1]) for row in rows))
    assert len(found) == 2
    return found


@pytest.mark.parametrize(
    "bad",
    [
        {"created_from": "yesterday"},
        {"created_from": "nan"},
        {"bound_before": "inf"},
        {"quoted_from": "-1"},
        {"created_from": "1e300"},
        {"created_from": "9", "created_before": "9"},
        {"product": "x' OR '1'='1"},
        {"product": "x" * 41},
    ],
)
async def test_what_no_list_can_be_asked_is_refused(site: Served, bad: dict[str, str]) -> None:
    """Moments that are none, times that end before they begin, SQL for a name: refused with what to do instead."""
    async with site.http("mod") as http:
        answer = await http.get("/api/v1/quotes", params=bad)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["required_action"]
        assert answer.json()["will_not"]
