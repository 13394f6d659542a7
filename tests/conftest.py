"""Fixtures that every test may use: the event loop, and real databases of both kinds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import create_database, drop_database, empty_tables, postgres_server
from tidewire.store import migrate
from tidewire.store.database import Database

# What starts processes takes longest; begun last, one process of the tests would work on it while the others rest.
SLOW = ("chaos", "app", "endurance", "browser", "flow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within a folder nothing changes its place."""
    here = Path(__file__).parent
    ranks = {name: rank for rank, name in enumerate(SLOW)}
    items.sort(key=lambda item: ranks.get(item.path.relative_to(here).parts[0], len(SLOW)))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run every async test on asyncio with uvloop, as production does."""
    return ("asyncio", {"use_uvloop": True})


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a real Postgres server."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database(postgres: str) -> Iterator[str]:
    """A migrated Postgres database that tests share one after the other: making one takes a hundred times as long."""
    url = _run(create_database(postgres))
    _run(migrate.upgrade(url))
    yield url
    _run(drop_database(postgres, url))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A migrated SQLite file that tests copy."""
    path = tmp_path_factory.mktemp("template") / "tidewire.db"
    _run(migrate.upgrade(f"sqlite:///{path}"))
    return path.read_bytes()


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


@pytest.fixture(params=["sqlite", "postgres"])
async def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of a database with the newest tables and nothing in them, once per kind."""
    if request.param == "sqlite":
        path = tmp_path / "tidewire.db"
        path.write_bytes(request.getfixturevalue("sqlite_template"))
        yield f"sqlite:///{path}"
        return
    url = request.getfixturevalue("postgres_database")
    await empty_tables(url)
    yield url


@pytest.fixture
async def both(migrated_url: str) -> AsyncIterator[Database]:
    """A started, migrated database, once per kind."""
    database = Database(migrated_url)
    await database.start()
    yield database
    await database.stop()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run ``work`` to its end, whether or not a loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
