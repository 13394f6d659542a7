"""The connection to SQL: start, stop, ping, and the two kinds of transaction. It must not know any table.

Pool: ``pool_size`` connections; when all are in use a caller waits ``timeout_s`` and then gets StoreError
(``storage_overloaded``). Every error of SQLAlchemy, a driver or a socket leaves here as StoreError.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tidewire.store.engine import WRITES, create_engine, ensure_file, is_sqlite, parse_url
from tidewire.store.failure import FOREIGN, translate, unknown_outcome


class Database:
    """A pool of connections to one database.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user:password@host/database``.
        pool_size: Most connections at a time.
        timeout_s: Deadline for connecting, for a place in the pool and for a lock.
        statement_timeout_s: Deadline of one statement.

    Raises:
        SettingsError: The URL is wrong or its driver is missing.
    """

    def __init__(
        self, url: str, *, pool_size: int = 8, timeout_s: float = 2.0, statement_timeout_s: float = 5.0
    ) -> None:
        self.url = parse_url(url)
        self._engine = create_engine(
            self.url, pool_size=pool_size, timeout_s=timeout_s, statement_timeout_s=statement_timeout_s
        )
        self._readers = async_sessionmaker(self._engine, expire_on_commit=False)
        self._writers = async_sessionmaker(
            self._engine.execution_options(**{WRITES: True}), expire_on_commit=False, autoflush=False
        )

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgres``."""
        return "sqlite" if is_sqlite(self.url) else "postgres"

    @property
    def shown_url(self) -> str:
        """The URL with its password masked."""
        return self.url.render_as_string(hide_password=True)

    async def start(self) -> None:
        """Connect once, so that a wrong URL ends the start. Raises StoreError."""
        try:
            ensure_file(self.url)
        except OSError as exc:
            raise translate(exc) from exc
        await self.ping()

    async def stop(self) -> None:
        """Close every connection. Idempotent."""
        await self._engine.dispose()

    async def ping(self) -> float:
        """Return the round-trip time in milliseconds. Raises StoreError."""
        began = time.perf_counter()
        async with self.read() as session:
            await session.execute(text("SELECT 1"))
        return (time.perf_counter() - began) * 1000.0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A transaction that only reads. Raises StoreError."""
        try:
            async with self._readers() as session:
                yield session
        except FOREIGN as exc:
            raise translate(exc) from exc

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that is committed at the end of the block, or rolled back if the block raises.

        Raises:
            StoreError: ``outcome_unknown`` if the connection broke during the commit, else nothing was stored.
        """
        committing = False
        try:
            async with self._writers() as session:
                yield session
                await session.flush()
                committing = True
                await session.commit()
        except FOREIGN as exc:
            if committing and _connection_lost(exc):
                raise unknown_outcome(exc) from exc
            raise translate(exc) from exc

    def statistics(self) -> dict[str, int]:
        """Return the pool's counters: connections ``open`` and ``in_use``."""
        pool = self._engine.pool
        return {"open": pool.checkedin() + pool.checkedout(), "in_use": pool.checkedout()}  # type: ignore[attr-defined]


def _connection_lost(error: Exception) -> bool:
    return isinstance(error, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated)
