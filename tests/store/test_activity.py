"""The activity log's queries, on SQLite and on Postgres: compared with plain Python over the same rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, text

from tidewire.store.activity import MARK, ActivityFilter, ActivityLog
from tidewire.store.database import Database
from tidewire.store.models import AdminActivityLog
from tidewire.store.records import ActivityEntry

NOW = 1_700_000_000.25
ACTORS = ("ada", "Ädä", "cli", "100%_sure")
ACTIONS = ("user.login", "user.login_failed", "feed.pause", "users.odd")


def entries(count: int = 120) -> list[ActivityEntry]:
    """Return entries of every kind; three share each moment."""
    return [
        ActivityEntry(
            at=NOW + n // 3,
            actor=ACTORS[n % 4],
            action=ACTIONS[n // 4 % 4],
            target=f"thing {n % 7}",
            details={"reason": f"Because of NUMBER {n}", "deep": {"list": [n, None, True]}},
            ip=f"10.0.0.{n % 3}",
        )
        for n in range(count)
    ]


async def filled(database: Database) -> tuple[ActivityLog, list[tuple[int, ActivityEntry]]]:
    """Return the log, and what is in it, newest first."""
    activity = ActivityLog(database)
    for entry in entries():
        await activity.write(entry)
    rows = [(row.id, row.entry) for row in await activity.recent(limit=500)]
    return activity, sorted(rows, key=lambda row: (row[1].at, row[0]), reverse=True)


async def read_all(activity: ActivityLog, wanted: ActivityFilter, limit: int = 7) -> list[int]:
    """Return the numbers of all parts of a list."""
    found: list[int] = []
    after = None
    while True:
        page = await activity.page(wanted, limit=limit, after=after)
        found += [row.id for row in page.rows]
        after = page.after
        if after is None:
            return found


Truth = Callable[[ActivityEntry], bool]
CASES: list[tuple[ActivityFilter, Truth]] = [
    (ActivityFilter(), lambda row: True),
    (ActivityFilter(who="ADA"), lambda row: row.actor == "ada"),
    (ActivityFilter(who="äDÄ"), lambda row: row.actor == "Ädä"),
    (ActivityFilter(action="user"), lambda row: row.action.startswith("user.")),
    (ActivityFilter(action="user.login"), lambda row: row.action == "user.login"),
    (ActivityFilter(target="thing 3"), lambda row: row.target == "thing 3"),
    (ActivityFilter(target="thing"), lambda row: False),
    (ActivityFilter(ip="10.0.0.2"), lambda row: row.ip == "10.0.0.2"),
    (ActivityFilter(since=NOW + 10, until=NOW + 20), lambda row: NOW + 10 <= row.at < NOW + 20),
    (ActivityFilter(text="number 11 ädä"), lambda row: "NUMBER 11" in str(row.details) and row.actor == "Ädä"),
    (ActivityFilter(text="100%_"), lambda row: row.actor == "100%_sure"),
    (ActivityFilter(text="%"), lambda row: row.actor == "100%_sure"),
    (ActivityFilter(who="ada' OR 1=1 --"), lambda row: False),
    (ActivityFilter(text="'; DROP TABLE users; --"), lambda row: False),
    (
        ActivityFilter(who="cli", action="user", ip="10.0.0.0", text="because"),
        lambda row: row.actor == "cli" and row.action.startswith("user.") and row.ip == "10.0.0.0",
    ),
]


async def test_each_filter_shows_what_plain_python_says(database: Database) -> None:
    """Every filter, read in parts of seven: each row that fits once, newest first; SQL in a filter is a word."""
    activity, rows = await filled(database)
    every = [row_id for row_id, _ in rows]
    for wanted, truth in CASES:
        right = [row_id for row_id, entry in rows if truth(entry)]
        assert await read_all(activity, wanted) == right, wanted
        # The live list asks the same of the rows that are new.
        assert await activity.matching(wanted, every) == frozenset(right), wanted
        half = every[::2]
        assert await activity.matching(wanted, half) == frozenset(right) & frozenset(half), wanted


async def test_the_actions_are_those_of_a_distinct(database: Database) -> None:
    """Stepping through the index finds what SELECT DISTINCT finds; an empty log has none."""
    assert await ActivityLog(database).actions() == []
    activity, _ = await filled(database)
    async with database.read() as session:
        distinct = sorted(await session.scalars(text("SELECT DISTINCT action FROM admin_activity_logs")))
    assert await activity.actions() == distinct == sorted(ACTIONS)


async def test_following_reads_what_is_new_and_an_export_ends(database: Database) -> None:
    """Numbers above another, rows by number, and a page that knows nothing of rows written after its newest."""
    activity, rows = await filled(database)
    newest = await activity.newest_id()
    assert newest == max(row_id for row_id, _ in rows)
    await activity.write(ActivityEntry(at=NOW + 999, actor="cli", action="user.add"))
    assert [newest] + await activity.ids_after(newest) == [newest, newest + 1]
    (row,) = await activity.rows([newest + 1])
    assert (row.entry.actor, row.entry.action, row.entry.at) == ("cli", "user.add", NOW + 999)
    bounded = await activity.page(ActivityFilter(), limit=1, newest_id=newest)
    assert bounded.rows[0].id == rows[0][0]


async def test_only_a_committed_row_rings_the_bell(database: Database) -> None:
    """Whoever listens is told after the commit of a transaction with a row, and of no other."""
    heard: list[bool] = []
    database.on_commit(lambda marks: heard.append(MARK in marks))
    await ActivityLog(database).write(entries(1)[0])
    async with database.write() as session:
        await session.execute(text("UPDATE users SET disabled = disabled"))
    with pytest.raises(ZeroDivisionError):
        async with database.write():
            raise ZeroDivisionError
    assert heard == [True, False]


async def test_a_line_is_written_whatever_was_typed(database: Database) -> None:
    """NUL, which Postgres refuses, is replaced wherever it stands; nothing else changes."""
    activity = ActivityLog(database)
    details: dict[str, Any] = {"a\x00": ["x\x00y", {"b": "\x00"}], "n": 1}
    await activity.write(ActivityEntry(at=NOW, actor="a\x00", action="user.add", target="t\x00", details=details))
    (row,) = await activity.recent()
    assert (row.entry.actor, row.entry.target) == ("a\ufffd", "t\ufffd")
    assert row.entry.details == {"a\ufffd": ["x\ufffdy", {"b": "\ufffd"}], "n": 1}


PLANS = (
    ("", "ix_admin_activity_logs_at_id"),
    ("actor_key = 'ada'", "ix_admin_activity_logs_actor_key_at_id"),
    ("action = 'user.login'", "ix_admin_activity_logs_action_at_id"),
    ("target = 'bob'", "ix_admin_activity_logs_target_at_id"),
    ("ip = '10.0.0.1'", "ix_admin_activity_logs_ip_at_id"),
    ("at < '2001-01-01 00:00:00'", "ix_admin_activity_logs_at_id"),
)


async def test_each_filter_has_an_index_that_gives_the_order_too(database: Database) -> None:
    """Both databases read a page of a long log from the index, without sorting."""
    rows = [
        {
            "at": NOW + n,
            "actor": "",
            "actor_key": f"user-{n % 900}",
            "action": f"do.{n % 700}",
            "target": f"thing {n % 800}",
        }
        | {"ip": f"10.1.{n % 4}.{n % 200}", "details": {}, "search": ""}
        for n in range(4_000)
    ]
    explain = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
    async with database.write() as session:
        await session.execute(insert(AdminActivityLog), rows)
    async with database.write() as session:
        # What is known of the rows must be of these, and not of what stood there before.
        await session.execute(text("ANALYZE admin_activity_logs"))
        if database.kind == "postgres":
            await session.execute(text("SET LOCAL enable_seqscan = off"))
            await session.execute(text("SET LOCAL enable_sort = off"))
        for where, index in PLANS:
            condition = f"WHERE {where}" if where else ""
            query = f"SELECT id FROM admin_activity_logs {condition} ORDER BY at DESC, id DESC LIMIT 51"  # noqa: S608
            plan = "\n".join(str(row) for row in await session.execute(text(f"{explain} {query}")))
            assert index in plan, plan
            assert "TEMP B-TREE" not in plan, plan
