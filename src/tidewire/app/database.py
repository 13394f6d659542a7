"""Opens the database: tables checked or made, started, and closed at the end. It must not know who uses it.

SQLite is ours alone, so its tables are brought up to date; a Postgres may be shared: there an operator runs
``tidewire migrate``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tidewire.store import migrate
from tidewire.store.database import Database


def is_missing(url: str) -> bool:
    """Whether ``url`` names a SQLite file that does not exist yet. Raises SettingsError if it is no database URL."""
    database = Database(url).url
    return database.get_backend_name() == "sqlite" and not Path(database.database or "").exists()


@asynccontextmanager
async def opened_database(url: str) -> AsyncIterator[Database]:
    """Yield a started database with the newest tables. Raises SettingsError or StoreError."""
    database = Database(url)
    try:
        await database.start()
        if database.kind == "sqlite":
            await migrate.upgrade(url)
        else:
            await migrate.check(url)
        yield database
    finally:
        await database.stop()
