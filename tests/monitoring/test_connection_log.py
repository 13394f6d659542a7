"""The record of connections: batches, order, a database that is away, bounds."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from tests.support.clock import HandClock
from tidewire.core.errors import StoreError
from tidewire.hub.registry import ConnectionInfo
from tidewire.monitoring.connection_log import ATTEMPTS, BATCH, ConnectionLog
from tidewire.store.connections import Connections
from tidewire.store.database import Database
from tidewire.store.records import ConnectionRecord


def info(number: int, **changes: object) -> ConnectionInfo:
    """Return a connection as the hub describes it."""
    base = ConnectionInfo(
        connection_id=f"c-{number}",
        user_id=None,
        username=None,
        role=None,
        session_id="s",
        ip="192.0.2.1",
        user_agent="tests",
        path="/ws",
        protocol="tidewire.v1",
        state="open",
        connected_at=1_700_000_000.0 + number,
        last_activity=1_700_000_000.0 + number,
        rooms=[],
        messages_in=0,
        messages_out=0,
        bytes_in=0,
        bytes_out=0,
        messages_in_per_second=0.0,
        messages_out_per_second=0.0,
        confirmed_sequence=0,
        queued_messages=0,
        queued_bytes=0,
        replaced=0,
        dropped=0,
        given_up=0,
        round_trip_ms=None,
        expires_at=None,
    )
    return msgspec.structs.replace(base, **changes)


class Flaky(Connections):
    """The real table, behind a database that can be away."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.fails: StoreError | None = None
        self.breaks_after_commit = False
        self.batches: list[tuple[int, int]] = []

    async def write(self, opened: Sequence[ConnectionRecord], changed: Sequence[ConnectionRecord]) -> None:
        """Write, or fail as told."""
        if self.fails is not None:
            raise self.fails
        self.batches.append((len(opened), len(changed)))
        await super().write(opened, changed)
        if self.breaks_after_commit:
            raise StoreError("Perhaps.", code="outcome_unknown")


class Book:
    """A log on a real database."""

    def __init__(self, table: Flaky, **options: int) -> None:
        self.table = table
        self.living: dict[str, ConnectionInfo] = {}
        self.log = ConnectionLog(table, HandClock(), node="here", look_up=self.living.get, **options)

    def open(self, number: int, **changes: object) -> None:
        """A connection is let in."""
        made = self.living[f"c-{number}"] = info(number, **changes)
        self.log.opened(made)

    def close(self, number: int, code: int | None = 1000) -> None:
        """It ends."""
        ended = self.living.pop(f"c-{number}")
        self.log.closed(msgspec.structs.replace(ended, closed_at=1_700_000_900.0, close_code=code, messages_out=7))

    async def rows(self) -> dict[str, ConnectionRecord]:
        """What is in the table."""
        return {row.connection_id: row for row in await self.table.recent(limit=500)}


@pytest.fixture
def table(both: Database) -> Flaky:
    """The table, on SQLite and on Postgres."""
    return Flaky(both)


@pytest.fixture
def book(table: Flaky) -> Book:
    """A log."""
    return Book(table)


async def test_nothing_is_written_until_the_flush(book: Book) -> None:
    """Telling the log costs no query; the flush writes all in one batch."""
    for number in range(3):
        book.open(number)
    book.close(1)
    assert book.table.batches == []
    await book.log.flush()
    assert book.table.batches == [(3, 0)]
    rows = await book.rows()
    assert {key: row.disconnected_at is None for key, row in rows.items()} == {"c-0": True, "c-1": False, "c-2": True}


async def test_an_end_is_added_to_the_row(book: Book) -> None:
    """A connection that was written before is updated with its code and figures."""
    book.open(1)
    await book.log.flush()
    book.close(1, 4000)
    await book.log.flush()
    row = (await book.rows())["c-1"]
    assert (row.disconnected_at, row.close_code, row.messages_out) == (1_700_000_900.0, 4000, 7)


async def test_strangers_leave_no_row(book: Book) -> None:
    """A connection that never said who it is costs no write."""
    book.log.closed(info(1, closed_at=1.0))
    await book.log.flush()
    assert book.table.batches == []


async def test_large_batches_are_cut(book: Book) -> None:
    """No transaction is larger than the bound."""
    for number in range(BATCH + 1):
        book.open(number)
    await book.log.flush()
    assert book.table.batches == [(BATCH, 0), (1, 0)]


async def test_a_database_that_is_away_loses_nothing(book: Book) -> None:
    """Rows wait, what happens meanwhile is merged into them, and all is written in the end."""
    book.open(1)
    book.open(2)
    book.table.fails = StoreError("Away.")
    await book.log.flush()
    book.close(1)
    await book.log.flush()
    assert book.log.statistics()["waiting"] == 2
    book.table.fails = None
    await book.log.flush()
    rows = await book.rows()
    assert rows["c-1"].disconnected_at is not None
    assert rows["c-2"].disconnected_at is None
    assert book.log.dropped == 0


async def test_a_batch_that_cannot_be_written_is_given_up(book: Book) -> None:
    """A database that answers and refuses the rows will refuse them for ever: dropped, counted, the next one passes."""
    book.open(1)
    book.table.fails = StoreError("Broken row.", code="data_invalid")
    for _ in range(ATTEMPTS):
        await book.log.flush()
    assert (book.log.dropped, book.log.statistics()["waiting"]) == (1, 0)
    book.table.fails = None
    book.living.clear()
    book.open(2)
    await book.log.flush()
    assert set(await book.rows()) == {"c-2"}


@pytest.mark.parametrize("code", ["storage_unavailable", "storage_timeout", "storage_overloaded", "outcome_unknown"])
async def test_an_outage_however_long_drops_nothing(book: Book, code: str) -> None:
    """Rows wait for the database, in a bounded queue, and are written when it is back."""
    book.open(1)
    book.table.fails = StoreError("Away.", code=code)
    for _ in range(5 * ATTEMPTS):
        await book.log.flush()
    book.table.fails = None
    await book.log.flush()
    assert set(await book.rows()) == {"c-1"}
    assert book.log.dropped == 0


async def test_a_batch_of_unknown_outcome_is_written_once(book: Book) -> None:
    """The connection broke during the commit: written again, each row is there once, in its newest state."""
    book.open(1)
    book.table.breaks_after_commit = True
    await book.log.flush()
    assert set(await book.rows()) == {"c-1"}
    book.table.breaks_after_commit = False
    book.open(2)
    book.close(1)
    await book.log.flush()
    rows = await book.rows()
    assert set(rows) == {"c-1", "c-2"}
    assert rows["c-1"].disconnected_at is not None
    assert (book.log.dropped, await book.table.count()) == (0, 2)


async def test_an_end_without_the_database_counts_what_is_lost(book: Book) -> None:
    """The last flush writes what it can; the rest is counted as dropped, not forgotten."""
    book.open(1)
    book.table.fails = StoreError("Away.")
    await book.log.close()
    assert (book.log.dropped, book.log.statistics()["waiting"]) == (1, 0)


async def test_the_queue_is_bounded(table: Flaky) -> None:
    """Beyond the bound new connections are not recorded, which is counted; their ends are not either."""
    book = Book(table, max_rows=2)
    for number in range(4):
        book.open(number)
    assert book.log.dropped == 2
    book.close(3)
    await book.log.flush()
    assert set(await book.rows()) == {"c-0", "c-1"}


async def test_living_rows_are_kept_up_to_date(book: Book) -> None:
    """Each flush renews a part of the living, so that a crash loses little."""
    book.open(1)
    await book.log.flush()
    book.living["c-1"] = msgspec.structs.replace(book.living["c-1"], messages_in=9, last_activity=1_700_000_050.0)
    await book.log.flush()
    row = (await book.rows())["c-1"]
    assert (row.messages_in, row.last_activity, row.disconnected_at) == (9, 1_700_000_050.0, None)


async def test_a_stranger_who_becomes_known_is_in_the_row(book: Book) -> None:
    """An anonymous connection that authenticates later shows its login."""
    book.open(1, session_id=None)
    await book.log.flush()
    book.open(1, session_id="s-9")
    await book.log.flush()
    assert (await book.rows())["c-1"].session_id == "s-9"


async def test_a_start_ends_what_the_last_life_left(book: Book, table: Flaky) -> None:
    """Rows that a crash left open end at their last sign of life."""
    book.open(1)
    await book.log.flush()
    await Book(table).log.start()
    assert (await book.rows())["c-1"].disconnected_at == 1_700_000_001.0
