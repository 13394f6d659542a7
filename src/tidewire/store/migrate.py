"""Brings a database to the newest schema, and says whether it is there. It must not know what the tables mean.

All steps of one call run in one transaction that holds a lock, so two processes that start together migrate once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text

import tidewire.store.alert_models  # noqa: F401 - its tables belong to the schema
from tidewire.core.errors import StoreError
from tidewire.store.engine import WRITES, create_engine, ensure_file, parse_url
from tidewire.store.failure import FOREIGN, translate
from tidewire.store.models import Base

T = TypeVar("T")

MIGRATIONS = Path(__file__).resolve().parent / "migrations"
# Any constant of our own; advisory locks share one number space per database.
_LOCK_ID = 7_433_931


async def upgrade(url: str, revision: str = "head") -> str:
    """Apply every missing step and return the revision that is then in place.

    Args:
        url: As for Database.
        revision: Where to stop; ``head`` is the newest.

    Raises:
        SettingsError: The URL is wrong.
        StoreError: The database failed, or it was migrated by a newer Tidewire; nothing was changed.
    """

    def run(connection: Connection) -> str:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
        command.upgrade(_config(connection), revision)
        return _present(connection) or ""

    return await _run(url, run)


async def downgrade(url: str, revision: str) -> None:
    """Take steps back to ``revision`` (``base`` is an empty database). Drops data. Raises StoreError."""
    await _run(url, lambda connection: command.downgrade(_config(connection), revision))


async def present_revision(url: str) -> str | None:
    """Return the revision of the database, None if it was never migrated. Raises StoreError."""
    return await _run(url, _present)


async def check(url: str) -> None:
    """Raise StoreError (``schema_outdated``) unless the database is at the newest revision."""
    present, newest = await present_revision(url), newest_revision()
    if present != newest:
        raise StoreError(
            f"The database is at revision {present or 'none'}, this Tidewire needs {newest}.",
            required_action="Run `tidewire migrate`, then start again.",
            will_not="Tidewire will not run on a schema that it does not know.",
            code="schema_outdated",
        )


async def differences(url: str) -> list[Any]:
    """Return what Alembic would still change to make the database equal the models; empty when they agree."""

    def run(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        with warnings.catch_warnings():
            # It cannot see indexes of expressions on SQLite, and says so.
            warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")
            return list(compare_metadata(context, Base.metadata))

    return await _run(url, run)


def newest_revision() -> str:
    """Return the revision that this code needs."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    if head is None:  # pragma: no cover - a wheel without its migrations is a build fault
        raise StoreError(
            "This installation carries no migrations.",
            required_action="Install Tidewire again.",
            will_not="Tidewire will not use a database whose schema it cannot judge.",
        )
    return head


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _present(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def _run(url: str, function: Callable[[Connection], T]) -> T:
    parsed = parse_url(url)
    engine = create_engine(parsed, None)
    try:
        ensure_file(parsed)
        async with engine.execution_options(**{WRITES: True}).begin() as connection:
            return await connection.run_sync(function)
    except CommandError as exc:
        raise StoreError(
            f"The schema cannot be migrated: {exc}.",
            required_action="Install the Tidewire version that last migrated this database, or a newer one.",
            will_not="Tidewire will not guess a way between schemas; nothing was changed.",
            code="schema_unknown",
        ) from exc
    except FOREIGN as exc:
        raise translate(exc) from exc
    finally:
        await engine.dispose()
