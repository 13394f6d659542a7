"""Builds the async engine for SQLite or Postgres with its deadlines and transaction rules. It must not know any table.

SQLite: WAL, foreign keys, a busy timeout, and BEGIN IMMEDIATE for writers. A deferred transaction that reads first and
writes later fails at once with SQLITE_BUSY when another writer came between, whatever the busy timeout is.
Source: SQLite manual, "Write-Ahead Logging" and "Transactions"; SQLAlchemy manual, "SQLite: transactional DDL".
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy import create_engine as create_sync_engine
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tidewire.core.errors import SettingsError
from tidewire.store.bulkhead import Bulkhead

# Waits long for a lock: another process may be migrating.
MIGRATION = Bulkhead("migration", connections=1, deadline_s=120.0)
# How long SQLite waits for another writer at most.
SQLITE_BUSY_S = 10.0
# SQLite's own for each connection is 2,000: eleven connections would fill 22 MiB little by little, with pages that the
# system's cache has too.
PAGE_CACHE_KIB = 512
# Execution option that marks an engine whose transactions write.
WRITES = "tidewire_writes"

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_WILL_NOT = "Tidewire will not start without a database, nor pick another one."


def parse_url(text: str) -> URL:
    """Return ``text`` as a URL with the async driver named.

    Raises:
        SettingsError: Unknown database, an in-memory one, or the Postgres driver is not installed.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        # The text may hold a password, so it is not repeated.
        raise _wrong("TIDEWIRE_DATABASE_URL is not a database URL.") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise _wrong(f"TIDEWIRE_DATABASE_URL names an unknown database: {url.drivername}.")
    url = url.set(drivername=driver)
    if is_sqlite(url) and (not url.database or url.database.startswith((":memory:", "file:"))):
        raise _wrong("TIDEWIRE_DATABASE_URL names no file; a database in memory forgets everything.")
    if not is_sqlite(url):
        if importlib.util.find_spec("asyncpg") is None:
            raise SettingsError(
                "TIDEWIRE_DATABASE_URL names Postgres, but its driver is not installed.",
                required_action="Install it with `pip install 'tidewire[postgres]'`.",
                will_not=_WILL_NOT,
            )
        # libpq calls it sslmode; asyncpg takes the same words as ssl.
        if "sslmode" in url.query:
            url = url.update_query_dict({"ssl": url.query["sslmode"]}).difference_update_query(["sslmode"])
    return url


def is_sqlite(url: URL) -> bool:
    """Whether ``url`` is a SQLite file."""
    return url.get_backend_name() == "sqlite"


def create_engine(url: URL, bulkhead: Bulkhead | None) -> AsyncEngine:
    """Return an engine that has not connected yet.

    Args:
        url: From ``parse_url``.
        bulkhead: Its limits; None for migrations: one connection, and no deadline on a statement, because the
            migration of a large table may take minutes.
    """
    limits = bulkhead or MIGRATION
    options: dict[str, Any] = {
        "pool_size": limits.connections,
        "max_overflow": 0,
        "pool_timeout": limits.wait_s,
        # Parameters hold password hashes and token digests; they must not reach a log through an error text.
        "hide_parameters": True,
    }
    if is_sqlite(url):
        engine = create_async_engine(url, connect_args={"timeout": min(limits.deadline_s, SQLITE_BUSY_S)}, **options)
        _prepare_sqlite(engine.sync_engine)
        return engine
    settings = {
        "application_name": f"tidewire {limits.name}",
        "lock_timeout": str(limits.lock_ms),
        "idle_in_transaction_session_timeout": str(limits.idle_ms),
    }
    if bulkhead is not None:
        settings["statement_timeout"] = str(limits.statement_ms)
    engine = create_async_engine(
        url, connect_args={"timeout": limits.connect_s, "server_settings": settings}, **options
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def create_thread_engine(url: URL, bulkhead: Bulkhead) -> Engine:
    """Return an engine for a thread that writes whole transactions to a SQLite file; it has not connected yet."""
    timeout_s = min(bulkhead.deadline_s, SQLITE_BUSY_S)
    engine = create_sync_engine(
        url.set(drivername="sqlite"),
        connect_args={"timeout": timeout_s, "check_same_thread": False},
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
        execution_options={WRITES: True},
    )
    _prepare_sqlite(engine)
    return engine


def driver_connection(connection: Any) -> Any:
    """Return asyncpg's connection inside SQLAlchemy's adapter."""
    return connection.driver_connection


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Replace a connection that has ended while it lay in the pool. Costs no round trip, unlike a ping before use."""
    if driver_connection(connection).is_closed():
        raise DisconnectionError


def ensure_file(url: URL) -> None:
    """Create a SQLite file that is missing, with its folder, readable by its owner only. Raises OSError."""
    if not is_sqlite(url) or not url.database or Path(url.database).exists():
        return
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    # It appears under its name in WAL mode already: switching there fails at once, without waiting, while a second
    # process has the file open (SQLite manual, "PRAGMA journal_mode").
    # It will hold password hashes, and mkstemp is for the owner only. SQLite gives -wal and -shm the same mode.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    try:
        with contextlib.closing(sqlite3.connect(name)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        # Of processes that start together the first one's file counts.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    except sqlite3.Error as exc:
        raise OSError(f"SQLite cannot make a file in {path.parent}: {exc}") from exc
    finally:
        Path(name).unlink()


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # The driver's own implicit BEGIN is off; on_begin decides which BEGIN it is.
        connection.isolation_level = None
        cursor = connection.cursor()
        # synchronous stays FULL, SQLite's default: a committed row survives a power cut, and writes here are rare.
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", f"cache_size = -{PAGE_CACHE_KIB}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _wrong(message: str) -> SettingsError:
    return SettingsError(
        message,
        required_action="Use sqlite:///path/to/tidewire.db or postgresql://user:password@host/database.",
        will_not=_WILL_NOT,
    )
