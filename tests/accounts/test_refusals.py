"""Refusals as lines of the activity log: one per user, thing and minute, and none lost while the database is away."""

from __future__ import annotations

from sqlalchemy import text

from tests.support.cancellation import cancelled_at
from tests.support.clock import HandClock
from tests.support.hub_server import principal
from tidewire.accounts.refusals import KEYS_MAX, WINDOW_S, Refusals
from tidewire.accounts.service import Accounts
from tidewire.store.activity import ActivityLog
from tidewire.store.database import Database


async def counts(log: ActivityLog) -> list[tuple[str, object]]:
    """Return what was written, oldest first."""
    rows = await log.recent(action="access.refused")
    return [(row.entry.target, row.entry.details["count"]) for row in rows[::-1]]


async def test_a_line_per_minute_with_what_came_since(accounts: Accounts, database: Database) -> None:
    """The first at once, the rest of a minute in the next line; another user or thing has its own."""
    clock, log = HandClock(), ActivityLog(database)
    refusals = Refusals(log, clock)
    ada, bob = principal(1), principal((await accounts.create_user("bob", "four unrelated words", "user")).id)
    refusals.note(ada, "access.refused", "GET /a", "::1", "permission_denied")
    await refusals.flush()
    for _ in range(1_000):
        refusals.note(ada, "access.refused", "GET /a", "::1", "permission_denied")
    refusals.note(bob, "access.refused", "GET /a", "::1", "permission_denied")
    await refusals.flush()
    assert await counts(log) == [("GET /a", 1), ("GET /a", 1)]
    await clock.advance(WINDOW_S)
    await refusals.flush()
    assert await counts(log) == [("GET /a", 1), ("GET /a", 1), ("GET /a", 1_000)]
    await clock.advance(WINDOW_S)
    await refusals.flush()
    assert refusals.statistics() == {"noted": 1_002, "lines": 3, "untold": 0, "keys": 0}


async def test_what_cannot_be_written_is_kept_and_the_memory_is_bounded(accounts: Accounts, database: Database) -> None:
    """A failed write is made good by the next; beyond the bound it is counted."""
    clock, log = HandClock(), ActivityLog(database)
    refusals = Refusals(log, clock)
    refusals.note(principal(1), "access.refused", "GET /a", "::1", "permission_denied")
    async with database.write() as session:
        await session.execute(text("ALTER TABLE admin_activity_logs RENAME TO away"))
    await refusals.flush()
    async with database.write() as session:
        await session.execute(text("ALTER TABLE away RENAME TO admin_activity_logs"))
    await refusals.flush()
    assert await counts(log) == [("GET /a", 1)]
    for number in range(KEYS_MAX + 7):
        refusals.note(principal(number), "access.refused", "GET /a", "::1", "permission_denied")
    assert refusals.statistics()["keys"] == KEYS_MAX
    assert refusals.statistics()["untold"] == 7


async def test_a_line_that_is_cut_short_is_not_lost(accounts: Accounts, database: Database) -> None:
    """Wherever in a write the loop is cancelled, as it is at the end of the process, the last flush writes it."""
    log, at, reached = ActivityLog(database), 0, True
    while reached:
        at += 1
        refusals = Refusals(log, HandClock())
        refusals.note(principal(1), "access.refused", f"GET /{at}", "::1", "permission_denied")
        reached = await cancelled_at(refusals.flush(), at)
        await refusals.flush(everything=True)
        assert (f"GET /{at}", 1) in await counts(log)
    assert at > 2
