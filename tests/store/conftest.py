"""One contract suite on SQLite and on Postgres: a server per test session, a fresh migrated database per test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.postgres import create_database, drop_database, postgres_server
from tidewire.store import migrate
from tidewire.store.database import Database


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real Postgres server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
async def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database, once per kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/tidewire.db"
        return
    server = request.getfixturevalue("postgres")
    url = await create_database(server)
    yield url
    await drop_database(server, url)


@pytest.fixture
async def database(empty_url: str) -> AsyncIterator[Database]:
    """A started, migrated database."""
    await migrate.upgrade(empty_url)
    database = Database(empty_url)
    await database.start()
    yield database
    await database.stop()
