"""Deadlines, bulkheads and retries on a real Postgres: nobody waits for ever, nobody waits for somebody else's job."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.postgres import alter, create_database, drop_database, stopped_processes
from tidewire.core.errors import StoreError
from tidewire.store.bulkhead import BACKGROUND, REQUESTS, Bulkhead
from tidewire.store.database import ATTEMPTS, Database

PID = text("SELECT pg_backend_pid()")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="freezing the server's processes needs the right to signal them"
)


@pytest.fixture
async def url(postgres: str) -> AsyncIterator[str]:
    """A database with one table of two rows."""
    made = await create_database(postgres)
    await alter(made, "CREATE TABLE t (id integer PRIMARY KEY, x integer NOT NULL)")
    await alter(made, "INSERT INTO t VALUES (1, 0), (2, 0)")
    yield made
    await drop_database(postgres, made)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """It, with two connections and a second for a transaction: longer than the server takes to see a deadlock."""
    made = Database(url, Bulkhead("test", connections=2, deadline_s=4.0))
    yield made
    await made.stop()


def add(number: int) -> Callable[[AsyncSession], Awaitable[None]]:
    """Return work that adds one to a row."""

    async def work(session: AsyncSession) -> None:
        await session.execute(text("UPDATE t SET x = x + 1 WHERE id = :id"), {"id": number})

    return work


async def values(url: str) -> list[int]:
    """Return the rows' values, asked on another connection."""
    connection = await asyncpg.connect(url)
    try:
        return [row["x"] for row in await connection.fetch("SELECT x FROM t ORDER BY id")]
    finally:
        await connection.close()


@needs_root
async def test_a_late_connection_is_ended_and_not_used_again(url: str) -> None:
    """A frozen backend costs the deadline; the next user of the pool gets another connection."""
    database = Database(url, Bulkhead("test", connections=1, deadline_s=0.5))
    async with database.read() as session:
        frozen = await session.scalar(PID)
    with stopped_processes([int(frozen)]):
        async with asyncio.timeout(45):
            with pytest.raises(StoreError) as failed:
                await database.ping()
        assert failed.value.code == "storage_timeout"
        async with database.read() as session:
            assert await session.scalar(PID) != frozen
    figures = database.statistics()
    assert (figures["expired"], figures["in_use"], figures["open"]) == (1, 0, 1)
    await database.stop()


async def test_a_connection_that_is_ended_within_a_statement(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between preparing and sending, where the driver itself does not look; its confusion reaches nobody."""
    database = Database(url, Bulkhead("test", connections=1, deadline_s=4.0))
    prepare = asyncpg.Connection._get_statement

    async def prepare_and_end(connection: asyncpg.Connection, statement: str, *rest: Any, **named: Any) -> Any:
        found = await prepare(connection, statement, *rest, **named)
        if statement.startswith("INSERT"):
            database.cut()
        return found

    monkeypatch.setattr(asyncpg.Connection, "_get_statement", prepare_and_end)
    with pytest.raises(StoreError) as failed:
        async with database.write() as session:
            await session.execute(text("INSERT INTO t VALUES (:id, 0)"), [{"id": 4}, {"id": 5}])
    assert failed.value.code == "storage_unavailable"
    assert await values(url) == [0, 0]
    await database.stop()


async def test_a_mistake_of_ours_is_not_taken_for_the_databases(database: Database) -> None:
    """An AttributeError while the connection is good leaves as it is."""
    with pytest.raises(AttributeError):
        async with database.read() as session:
            assert session.no_such_thing  # type: ignore[attr-defined]


@needs_root
async def test_a_late_commit_is_an_unknown_outcome(url: str) -> None:
    """Nobody knows whether it was stored, and that is what is said; it is not tried again."""
    database = Database(url, Bulkhead("test", connections=1, deadline_s=0.5))
    ran: list[int] = []

    async def work(session: AsyncSession) -> None:
        await add(1)(session)
        pid = int(await session.scalar(PID))
        ran.append(pid)
        frozen.enter_context(stopped_processes([pid]))

    with contextlib.ExitStack() as frozen:
        async with asyncio.timeout(45):
            with pytest.raises(StoreError) as failed:
                await database.transact(work)
    assert failed.value.code == "outcome_unknown"
    assert len(ran) == 1
    await database.stop()


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(url: str) -> None:
    """A living server gives up first: the connection stays good, and the error is the same."""
    database = Database(url, Bulkhead("test", connections=1, deadline_s=1.0))
    pids = []
    for _ in range(2):
        async with database.read() as session:
            pids.append(await session.scalar(PID))
        with pytest.raises(StoreError) as failed:
            async with database.read() as session:
                await session.execute(text("SELECT pg_sleep(60)"))
        assert failed.value.code == "storage_timeout"
    assert pids[0] == pids[1]
    assert database.statistics()["expired"] == 0
    await database.stop()


async def test_a_full_pool_leaks_nothing(url: str) -> None:
    """Forty callers for one connection that is held: all are told, none keeps a place, the next one is served."""
    database = Database(url, Bulkhead("test", connections=1, deadline_s=1.5))
    async with database.read() as session:
        await session.execute(PID)
        found = await asyncio.gather(*(database.ping() for _ in range(40)), return_exceptions=True)
    assert {type(each) for each in found} == {StoreError}
    assert {each.code for each in found if isinstance(each, StoreError)} == {"storage_overloaded"}
    assert database.statistics()["overloaded"] == 40
    assert database.statistics()["in_use"] == 0
    assert await database.ping() >= 0
    await database.stop()


async def test_a_slow_job_does_not_keep_a_login_waiting(url: str) -> None:
    """With every background connection busy, requests are answered; the jobs have not ended meanwhile."""
    requests = Database(url, REQUESTS)
    background = requests.beside(BACKGROUND)

    async def slow() -> None:
        async with background.write() as session:
            await session.execute(text("SELECT pg_sleep(60)"))

    jobs = [asyncio.create_task(slow()) for _ in range(REQUESTS.connections + 3)]
    async with asyncio.timeout(45):
        while background.statistics()["in_use"] < BACKGROUND.connections:  # noqa: ASYNC110 - a pool sets no event
            await asyncio.sleep(0)
    for _ in range(20):
        assert await requests.ping() >= 0
    assert not any(job.done() for job in jobs)
    for job in jobs:
        job.cancel()
    background.cut()
    await asyncio.gather(*jobs, return_exceptions=True)
    await requests.stop()
    await background.stop()


async def test_a_deadlock_is_tried_again(database: Database, url: str) -> None:
    """Two transactions take two rows in opposite orders: the server undoes one, it runs again, both are stored once."""
    both_hold = asyncio.Barrier(2)

    def crossing(first: int, second: int) -> Callable[[AsyncSession], Awaitable[None]]:
        attempts: list[int] = []

        async def work(session: AsyncSession) -> None:
            attempts.append(1)
            await add(first)(session)
            if len(attempts) == 1:
                await both_hold.wait()
            await add(second)(session)

        return work

    async with asyncio.timeout(45):
        await asyncio.gather(database.transact(crossing(1, 2)), database.transact(crossing(2, 1)))
    assert await values(url) == [2, 2]
    assert (database.statistics()["collided"], database.statistics()["retried"]) == (1, 1)


@pytest.mark.parametrize(("collisions", "stored"), [(1, True), (ATTEMPTS - 1, True), (ATTEMPTS, False)])
async def test_retries_are_bounded(database: Database, url: str, collisions: int, stored: bool) -> None:
    """A serialization failure is tried again at most twice; then it is an error, and nothing was stored."""
    ran: list[int] = []

    async def work(session: AsyncSession) -> int:
        ran.append(1)
        await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        await session.execute(text("SELECT x FROM t"))
        if len(ran) <= collisions:
            await alter(url, "UPDATE t SET x = x + 100 WHERE id = 1")
        await add(1)(session)
        return len(ran)

    if stored:
        assert await database.transact(work) == collisions + 1
    else:
        with pytest.raises(StoreError) as failed:
            await database.transact(work)
        assert failed.value.code == "storage_busy"
    assert await values(url) == [100 * collisions + stored, 0]
    assert database.statistics()["retried"] == min(collisions, ATTEMPTS - 1)


async def test_what_is_not_a_collision_is_not_tried_again(url: str) -> None:
    """A lock that somebody holds, and a broken statement, fail at the first time."""
    database, ran = Database(url, Bulkhead("test", connections=1, deadline_s=1.0)), []

    async def locked(session: AsyncSession) -> None:
        ran.append("locked")
        await add(1)(session)

    async def broken(session: AsyncSession) -> None:
        ran.append("broken")
        await session.execute(text("SELECT 1 / 0"))

    holder = await asyncpg.connect(url)
    try:
        async with holder.transaction():
            await holder.execute("UPDATE t SET x = 5 WHERE id = 1")
            for work, code in ((locked, "storage_busy"), (broken, "storage_unavailable")):
                with pytest.raises(StoreError) as failed:
                    await database.transact(work)
                assert failed.value.code == code
    finally:
        await holder.close()
    assert ran == ["locked", "broken"]
    await database.stop()


async def test_a_server_without_a_free_connection_says_so(postgres: str, url: str) -> None:
    """Too many connections: a code of its own, and it works again when one is free."""
    role = f"limited_{os.getpid()}"
    await alter(postgres, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 1")
    database = Database(url.replace("//postgres@", f"//{role}@"), REQUESTS)
    holder = await asyncpg.connect(url, user=role)
    with pytest.raises(StoreError) as failed:
        await database.ping()
    assert failed.value.code == "storage_overloaded"
    await holder.execute("SELECT 1")
    await alter(postgres, f"ALTER ROLE {role} CONNECTION LIMIT 5")
    assert await database.ping() >= 0
    await holder.close()
    await database.stop()
    await alter(postgres, f"DROP ROLE {role}")
