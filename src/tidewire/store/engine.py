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

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tidewire.core.errors import SettingsError

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


def create_engine(url: URL, *, pool_size: int, timeout_s: float, statement_timeout_s: float | None) -> AsyncEngine:
    """Return an engine that has not connected yet.

    Args:
        url: From ``parse_url``.
        pool_size: Most connections at a time; the next caller waits ``timeout_s``, then gets StoreError.
        timeout_s: Deadline for a connection, for a place in the pool and for a lock.
        statement_timeout_s: Deadline of one statement, or None for migrations.
    """
    options: dict[str, Any] = {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": timeout_s,
        # Parameters hold password hashes and token digests; they must not reach a log through an error text.
        "hide_parameters": True,
    }
    if is_sqlite(url):
        engine = create_async_engine(url, connect_args={"timeout": timeout_s}, **options)
        _prepare_sqlite(engine)
        return engine
    lock_ms = int((timeout_s if statement_timeout_s is not None else 60.0) * 1000)
    settings = {
        "application_name": "tidewire",
        "lock_timeout": str(lock_ms),
        "idle_in_transaction_session_timeout": "30000",
    }
    if statement_timeout_s is not None:
        settings["statement_timeout"] = str(int(statement_timeout_s * 1000))
    return create_async_engine(
        url,
        connect_args={"timeout": timeout_s, "command_timeout": statement_timeout_s, "server_settings": settings},
        # A restarted server costs one round trip here instead of one failed request per pooled connection.
        pool_pre_ping=True,
        **options,
    )


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


def _prepare_sqlite(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _record: Any) -> None:
        # The driver's own implicit BEGIN is off; on_begin decides which BEGIN it is.
        connection.isolation_level = None
        cursor = connection.cursor()
        # synchronous stays FULL, SQLite's default: a committed row survives a power cut, and writes here are rare.
        for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _wrong(message: str) -> SettingsError:
    return SettingsError(
        message,
        required_action="Use sqlite:///path/to/tidewire.db or postgresql://user:password@host/database.",
        will_not=_WILL_NOT,
    )
