"""An export that does not come to its end says so in its last line, and in the log; on SQLite and on Postgres."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
from sqlalchemy import text

from tests.support.waiting import until
from tidewire.monitoring.activity_export import COLUMNS, Export, harmless
from tidewire.store.activity import READ_MAX, ActivityFilter, ActivityLog
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry

ROWS = READ_MAX + 50


class Noted:
    """What was written of the end of an export."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    async def __call__(self, outcome: str, **more: object) -> None:
        """Keep it."""
        self.lines.append((outcome, more))


@pytest.fixture
async def activity(both: Database) -> ActivityLog:
    """A log of more rows than one part of a file has."""
    log = ActivityLog(both)
    for n in range(ROWS):
        await log.write(ActivityEntry(at=1_700_000_000.0 + n, actor="ada", action="test.row"))
    return log


def seconds() -> Iterator[float]:
    """Every look at the clock is three seconds after the one before."""
    now = 0.0
    while True:
        yield now
        now += 3.0


def export(activity: ActivityLog, newest_id: int, form: Literal["csv", "ndjson"] = "ndjson") -> Export:
    """Return an export of all rows."""
    clock = seconds()
    return Export(activity, ActivityFilter(), newest_id, form, masked=False, now=lambda: next(clock))


async def read(chunks: AsyncIterator[bytes]) -> str:
    """Return the whole file."""
    return b"".join([chunk async for chunk in chunks]).decode()


async def yes() -> bool:
    """They still may."""
    return True


async def test_a_whole_file_has_every_row_and_is_noted_as_done(activity: ActivityLog) -> None:
    """In parts, each row once, newest first, and no word of an error."""
    noted = Noted()
    file = await read(export(activity, await activity.newest_id()).chunks(yes, noted))
    ids = [json.loads(line)["id"] for line in file.splitlines()]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == ROWS
    await until(lambda: noted.lines)
    assert noted.lines == [("done", {"rows": ROWS})]


async def test_whoever_may_no_longer_look_gets_nothing_more(activity: ActivityLog) -> None:
    """Asked again before each part: the one that was read meanwhile is not for them."""
    noted, answers = Noted(), iter((True, False))

    async def may_still() -> bool:
        return next(answers)

    file = await read(export(activity, await activity.newest_id(), "csv").chunks(may_still, noted))
    head, *lines, last = csv.reader(io.StringIO(file, newline=""))
    assert tuple(head) == COLUMNS
    assert len(lines) == READ_MAX
    assert last[0] == "error"
    assert last[-1].startswith("This file is not whole: You may not see")
    await until(lambda: noted.lines)
    assert noted.lines == [("revoked", {"rows": READ_MAX})]


async def test_a_database_that_goes_away_leaves_a_word(activity: ActivityLog, both: Database) -> None:
    """The rows so far, then why there are no more."""
    noted = Noted()
    chunks = export(activity, await activity.newest_id()).chunks(yes, noted)
    first = await anext(chunks)
    async with both.write() as session:
        await session.execute(text("ALTER TABLE admin_activity_logs RENAME TO hidden"))
    try:
        rest = await read(chunks)
    finally:
        async with both.write() as session:
            await session.execute(text("ALTER TABLE hidden RENAME TO admin_activity_logs"))
    assert len(first.splitlines()) == READ_MAX
    assert json.loads(rest)["error"].startswith("This file is not whole: ")
    await until(lambda: noted.lines)
    assert noted.lines == [("failed", {"rows": READ_MAX})]


async def test_whoever_leaves_is_noted(activity: ActivityLog) -> None:
    """The reader went away in the middle: the log says how far it came."""
    noted = Noted()
    chunks = export(activity, await activity.newest_id()).chunks(yes, noted)
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    await until(lambda: noted.lines)
    assert noted.lines == [("left", {"rows": READ_MAX})]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_formula_is_made_harmless(cell: str) -> None:
    """What a spreadsheet would run begins with an apostrophe; anything else stays."""
    assert harmless(cell) == f"'{cell}"
    assert harmless(f"a{cell}") == f"a{cell}"
