"""The database shell: every failure is a StoreError that says who must act."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.postgres import create_database, drop_database, stopped_processes
from tests.support.waiting import PATIENT
from tidewire.core.errors import StoreError
from tidewire.store import migrate
from tidewire.store.bulkhead import BACKGROUND, Bulkhead
from tidewire.store.database import Database
from tidewire.store.models import Moment, Universe
from tidewire.store.users import Users

NOW = 1_700_000_000.0


def small(deadline_s: float) -> Bulkhead:
    """One connection, and little time."""
    return Bulkhead("test", connections=1, deadline_s=deadline_s)


async def test_ping_and_stop(database: Database) -> None:
    """A started database answers; stopping twice is fine."""
    assert await database.ping() >= 0.0
    assert database.statistics()["in_use"] == 0
    await database.stop()
    await database.stop()


async def test_an_unmigrated_database_names_the_command(empty_url: str) -> None:
    """A query before `tidewire migrate` says so."""
    database = Database(empty_url, PATIENT)
    await database.start()
    with pytest.raises(StoreError) as failed:
        await Users(database).count()
    await database.stop()
    assert failed.value.code == "schema_outdated"
    assert "tidewire migrate" in failed.value.required_action


async def test_a_raising_block_stores_nothing(database: Database) -> None:
    """An error inside a write rolls everything back and passes through unchanged."""

    async def fail() -> None:
        now = "2026-01-01 00:00:00.000000" if database.kind == "sqlite" else datetime(2026, 1, 1, tzinfo=UTC)
        async with database.write() as session:
            await session.execute(
                text("INSERT INTO universes (key, source, created_at, updated_at) VALUES ('u', '', :now, :now)"),
                {"now": now},
            )
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM universes")) == 0


async def test_a_full_pool_is_an_error_not_a_wait(empty_url: str) -> None:
    """When every connection is in use, the next caller is told within the deadline."""
    database = Database(empty_url, small(1.5))
    async with database.read() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(StoreError) as failed:
            await database.ping()
    await database.stop()
    assert failed.value.code == "storage_overloaded"


async def test_error_texts_hold_no_parameters(database: Database) -> None:
    """Neither the StoreError nor what it was raised from repeats a bound value."""
    with pytest.raises(StoreError) as failed:
        async with database.write() as session:
            await session.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": "canary-5150"})
    assert "canary-5150" not in str(failed.value.describe())
    assert "canary-5150" not in str(failed.value.__cause__)


async def test_sqlite_is_set_up_for_many_readers(tmp_path: Path) -> None:
    """WAL, foreign keys and the busy timeout are on for every connection."""
    database = Database(f"sqlite:///{tmp_path}/x.db", small(1.5))
    async with database.read() as session:
        found = [
            await session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys", "busy_timeout")
        ]
    await database.stop()
    assert found == ["wal", 1, 1500]


async def test_a_locked_sqlite_file_is_named(tmp_path: Path) -> None:
    """A writer of another process waits up to the deadline, then learns that the file is locked."""
    one, other = (Database(f"sqlite:///{tmp_path}/x.db", small(0.3)) for _ in range(2))
    async with one.write() as holder:
        await holder.execute(text("CREATE TABLE t (x INTEGER)"))
        with pytest.raises(StoreError) as failed:
            async with other.write() as session:
                await session.execute(text("SELECT 1"))
    for database in (one, other):
        await database.stop()
    assert failed.value.code == "storage_busy"


async def test_writers_of_a_sqlite_file_take_turns_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    """Nobody who came later is quicker, whatever they use the file for, so that nobody waits in vain."""
    await migrate.upgrade(url := f"sqlite:///{tmp_path}/t.db")
    database, done = Database(url, PATIENT), list[int]()
    aside = database.beside(BACKGROUND)

    def write_at_once(connection: Connection, number: int) -> None:
        connection.execute(text("UPDATE users SET disabled = disabled"))
        done.append(number)

    async def write(number: int) -> None:
        if number % 3 == 0:
            await database.write_at_once(lambda connection: write_at_once(connection, number))
            return
        async with (database if number % 3 == 1 else aside).write() as session:
            await session.execute(text("UPDATE users SET disabled = disabled"))
            done.append(number)

    async with database.write() as session:
        await session.execute(text("UPDATE users SET disabled = disabled"))
        writers = [asyncio.create_task(write(number)) for number in range(12)]
        # Those that do not wait for their turn are in SQLite's own queue after this, which has no order.
        for _ in range(50):
            await database.ping()
    await asyncio.gather(*writers)
    await aside.stop()
    await database.stop()
    assert done == list(range(12))


async def test_who_waits_too_long_for_a_turn_is_told(tmp_path: Path) -> None:
    """A writer behind one that does not end gets an error within the deadline, and those behind it their turn later."""
    await migrate.upgrade(url := f"sqlite:///{tmp_path}/t.db")
    database = Database(url, Bulkhead("test", connections=2, deadline_s=0.3))
    async with database.write():
        with pytest.raises(StoreError) as caught:
            async with database.write():
                raise AssertionError("two wrote at once")
    assert (caught.value.code, database.statistics()["overloaded"]) == ("storage_overloaded", 1)
    async with database.write() as session:
        await session.execute(text("UPDATE users SET disabled = disabled"))
    await database.stop()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """Another program's file is refused and left as it was."""
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 100)
    database = Database(f"sqlite:///{path}", PATIENT)
    with pytest.raises(StoreError) as failed:
        await database.start()
    await database.stop()
    assert failed.value.code == "storage_refused"
    assert path.read_bytes().startswith(b"not a database at all")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://u:hunter22@127.0.0.1:1/d", "storage_unavailable"),
        ("postgresql://u:hunter22@/d?host=/nonexistent", "storage_unavailable"),
        ("sqlite:////proc/nope/x.db", "storage_unavailable"),
    ],
)
async def test_an_unreachable_database_is_told(url: str, code: str) -> None:
    """Nothing there: one StoreError, and the password is not in it."""
    database = Database(url, PATIENT)
    with pytest.raises(StoreError) as failed:
        await database.start()
    await database.stop()
    assert failed.value.code == code
    assert failed.value.required_action
    assert "hunter22" not in str(failed.value.describe()) + database.shown_url


async def test_a_missing_postgres_database_is_named(postgres: str) -> None:
    """The server is there, the database is not."""
    url = await create_database(postgres)
    await drop_database(postgres, url)
    database = Database(url, PATIENT)
    with pytest.raises(StoreError) as failed:
        await database.start()
    await database.stop()
    assert failed.value.code == "storage_refused"


async def test_a_cut_connection_costs_nothing_afterwards(postgres: str) -> None:
    """After the server cut every connection, the next query works."""
    url = await create_database(postgres)
    await migrate.upgrade(url)
    database = Database(url, PATIENT)
    assert await Users(database).count() == 0
    admin = await asyncpg.connect(postgres)
    cut = await admin.fetch(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
        database.url.database,
    )
    await admin.close()
    assert cut
    assert await Users(database).count() == 0
    await database.stop()
    await drop_database(postgres, url)


async def cut(postgres: str, session: AsyncSession) -> None:
    """End the server's side of a session's connection."""
    pid = await session.scalar(text("SELECT pg_backend_pid()"))
    admin = await asyncpg.connect(postgres)
    await admin.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    await admin.close()


@pytest.mark.parametrize(
    ("when", "code"),
    [("statement", "storage_unavailable"), ("flush", "storage_unavailable"), ("commit", "outcome_unknown")],
)
async def test_a_cut_in_the_middle_is_an_error(postgres: str, when: str, code: str) -> None:
    """Before the commit nothing was stored; during it nobody knows, and that is what is said."""
    url = await create_database(postgres)
    await migrate.upgrade(url)
    database = Database(url, PATIENT)

    async def lose_connection() -> None:
        async with database.write() as session:
            await cut(postgres, session)
            if when == "statement":
                await session.execute(text("SELECT 1"))
            if when == "flush":
                session.add(Universe(key="u", source="", created_at=NOW, updated_at=NOW))

    with pytest.raises(StoreError) as failed:
        await lose_connection()
    assert failed.value.code == code
    assert await Users(database).count() == 0
    await database.stop()
    await drop_database(postgres, url)


def test_moments_do_not_depend_on_the_machines_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's times come back without a zone; they are UTC wherever the machine stands."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        moment, dialect = Moment(), sqlite.dialect()
        stored = moment.process_bind_param(NOW, dialect)
        assert stored is not None
        assert moment.process_result_value(stored.replace(tzinfo=None), dialect) == NOW
        assert moment.process_result_value(stored, dialect) == NOW
        assert moment.process_result_value(None, dialect) is moment.process_bind_param(None, dialect) is None
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.skipif(os.geteuid() != 0, reason="freezing the server's processes needs the right to signal them")
async def test_a_frozen_server_is_an_error_in_time(postgres: str) -> None:
    """A backend that answers nothing costs the deadline, then a StoreError; afterwards the database works again."""
    url = await create_database(postgres)
    database = Database(url, small(0.3))
    async with database.read() as session:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
    assert pid is not None
    with stopped_processes([pid]):
        async with asyncio.timeout(45):
            with pytest.raises(StoreError):
                await database.ping()
    assert await database.ping() >= 0
    await database.stop()
    await drop_database(postgres, url)
