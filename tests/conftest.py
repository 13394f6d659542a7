"""Fixtures that every test may use: the event loop, and real databases of both kinds."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.support.postgres import create_database, drop_database, empty_tables, postgres_server
from tests.support.waiting import PATIENT
from tidewire.store import migrate
from tidewire.store.database import Database

# What takes longest comes first: begun last, one process of the tests would work on it while the others rest. Folders
# that share a demo stay together; of the others, what works most (web: Chromium) and what waits most take turns.
TOGETHER = ("browser", "flow")
BY_TURNS = ("chaos", "web", "app", "endurance", "quotes", "cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within a file nothing changes its place."""
    here = Path(__file__).parent
    files: dict[str, dict[Path, int]] = {}

    def place(item: pytest.Item) -> tuple[int, int, int]:
        folder = item.path.relative_to(here).parts[0]
        met = files.setdefault(folder, {})
        number = met.setdefault(item.path, len(met))
        if folder in TOGETHER:
            return 0, TOGETHER.index(folder), number
        return (1, number, BY_TURNS.index(folder)) if folder in BY_TURNS else (2, 0, 0)

    items.sort(key=place)


@pytest.hookimpl(tryfirst=True, wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """End a coroutine that waits for ever with TimeoutError where it waits, so that it cleans up after itself.

    uvloop does not pass on what pytest-timeout raises. What this cannot end, pytest-timeout does a little later: it
    ends the whole process (``timeout_method``).
    """
    test = pyfuncitem.obj
    if inspect.iscoroutinefunction(test):
        marker = pyfuncitem.get_closest_marker("timeout")
        whole_s = float(marker.args[0] if marker else pyfuncitem.config.getini("timeout"))
        ceiling_s = max(whole_s - 20, whole_s / 2)

        @functools.wraps(test)
        async def bounded(*args: Any, **kwargs: Any) -> None:
            async with asyncio.timeout(ceiling_s):
                await test(*args, **kwargs)

        pyfuncitem.obj = bounded
    return (yield)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what a test does to logging: its stream is closed when the test is over, and others would write there."""
    root = logging.getLogger()
    handlers, level, configured, config = (
        root.handlers[:],
        root.level,
        structlog.is_configured(),
        structlog.get_config(),
    )
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    if configured:
        structlog.configure(**config)
    else:
        structlog.reset_defaults()


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
    database = Database(migrated_url, PATIENT)
    await database.start()
    yield database
    await database.stop()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run ``work`` to its end, whether or not a loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
