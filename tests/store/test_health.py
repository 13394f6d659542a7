"""Whether the database answers: the states, and the watch that finds them out."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from tests.support.clock import HandClock
from tests.support.postgres import alter, create_database, cut_all, drop_database
from tidewire.core.errors import StoreError
from tidewire.store.bulkhead import BACKGROUND, REQUESTS
from tidewire.store.database import Database
from tidewire.store.health import Health
from tidewire.store.watch import STALE_S, Watch

PID = text("SELECT pg_backend_pid()")
AWAY = StoreError("Away.", required_action="Start it.", code="storage_unavailable")
LATE = StoreError("Late.", code="storage_timeout")
READ_ONLY = StoreError("Read-only.", code="storage_read_only")


def test_a_lost_server_is_down_at_once_and_up_again_at_once() -> None:
    """Each change is told once, with the time of the first; ``down`` refuses with the reason."""
    health = Health()
    assert health.refusal() is None
    assert health.answered(1.0)
    assert not health.answered(2.0)
    assert (health.state, health.since) == ("up", 1.0)
    assert health.failed(3.0, AWAY)
    assert not health.failed(4.0, AWAY)
    refusal = health.refusal()
    assert refusal is not None
    assert (refusal.code, refusal.required_action) == ("storage_unavailable", "Start it.")
    assert (health.state, health.since) == ("down", 3.0)
    assert health.answered(5.0)
    assert (health.state, health.refusal(), health.changes) == ("up", None, 3)


def test_one_late_answer_is_not_an_outage() -> None:
    """It may be our own stall; the second one in a row is an outage, one after a good answer is not."""
    health = Health()
    health.answered(1.0)
    assert not health.failed(2.0, LATE)
    assert not health.answered(3.0)
    assert not health.failed(4.0, LATE)
    assert health.state == "up"
    assert health.failed(5.0, LATE)
    assert health.state == "down"


@pytest.mark.parametrize("code", ["storage_read_only", "storage_overloaded", "storage_full"])
def test_what_works_in_part_refuses_nothing(code: str) -> None:
    """A read-only or overloaded database is degraded: whoever only reads is let through."""
    health = Health()
    health.answered(1.0)
    assert health.failed(2.0, StoreError("Partly.", code=code))
    assert (health.state, health.refusal()) == ("degraded", None)


def test_another_reason_is_another_change() -> None:
    """From mute to refused is worth a line, but the outage began when it began."""
    health = Health()
    health.failed(1.0, AWAY)
    assert health.failed(2.0, StoreError("Wrong password.", code="storage_refused"))
    assert (health.state, health.since) == ("down", 1.0)


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    """A Postgres database of the test's own, for requests."""
    url = await create_database(postgres)
    made = Database(url, REQUESTS)
    yield made
    await made.stop()
    await drop_database(postgres, url)


async def test_the_watch_tells_each_change_once(postgres: str, database: Database) -> None:
    """Connections refused: one line, every use refused at once, health fails; allowed again: one line, all work."""
    background = database.beside(BACKGROUND)
    watch = Watch((database, background), HandClock())
    await watch.start()
    assert await background.ping() >= 0
    name = database.url.database
    with capture_logs() as lines:
        await alter(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await cut_all(postgres, str(name))
        for _ in range(3):
            await watch.look()
        with pytest.raises(StoreError):
            await watch.check()
        for use in (database, background):
            with pytest.raises(StoreError):
                await use.ping()
            assert use.statistics()["refused"] == 1
        await alter(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        for _ in range(2):
            await watch.look()
    assert await watch.check() > 0
    assert await database.ping() >= 0
    assert [line["event"] for line in lines] == ["database_down", "database_up"]
    assert {"code", "message", "required_action", "will_not"} <= set(lines[0])
    assert (watch.counters()["state_changes"], watch.counters()["probes_failed"]) == (3, 3)
    await watch.stop()
    await background.stop()


async def test_going_down_ends_every_connection(postgres: str, database: Database) -> None:
    """What lay in the pool leads nowhere any more; nobody pays a deadline for it after the return."""
    watch = Watch((database,), HandClock())
    await watch.start()
    async with database.read() as session:
        first = await session.scalar(PID)
    name = database.url.database
    await alter(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    await cut_all(postgres, str(name), "tidewire probe")
    await watch.look()
    assert database.health.state == "down"
    await alter(postgres, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    await watch.look()
    assert database.health.state == "up"
    async with database.read() as session:
        assert await session.scalar(PID) != first
    await watch.stop()


async def test_a_read_only_database_is_told(postgres: str, database: Database) -> None:
    """The probe sees what a SELECT 1 would not; reads work, writes say why they do not."""
    watch = Watch((database,), HandClock())
    await alter(postgres, f'ALTER DATABASE "{database.url.database}" SET default_transaction_read_only = on')
    with pytest.raises(StoreError) as refused:
        await watch.start()
    assert refused.value.code == "storage_read_only"
    await watch.look()
    assert (database.health.state, watch.statistics()["degraded"]) == ("degraded", 1)
    assert await database.ping() >= 0
    with pytest.raises(StoreError) as refused:
        async with database.write() as session:
            await session.execute(text("CREATE TABLE t (x integer)"))
    assert refused.value.code == "storage_read_only"
    await watch.stop()


async def test_a_watch_that_stands_still_is_not_health(database: Database) -> None:
    """An old answer is no answer."""
    clock = HandClock()
    watch = Watch((database,), clock, every_s=10 * STALE_S)
    await watch.start()
    assert await watch.check() > 0
    await clock.advance(STALE_S + 1)
    with pytest.raises(StoreError, match="Nobody has asked"):
        await watch.check()
    await watch.stop()
