"""The connection to SQL: start, stop, ping, and the two kinds of transaction. It must not know any table.

Each use has a pool of its own (``Bulkhead``); one Database is one use, ``beside`` makes another that shares the state.
Every error of SQLAlchemy, a driver or a socket leaves here as StoreError, before the bulkhead's deadline has passed;
a Postgres connection that was not done by then is terminated, so nothing of it can reach the next user of the pool.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from tidewire.core.errors import StoreError
from tidewire.core.tracing import span
from tidewire.store.bulkhead import REQUESTS, Bulkhead
from tidewire.store.engine import WRITES, create_engine, driver_connection, ensure_file, is_sqlite, parse_url
from tidewire.store.failure import FOREIGN, collided, late, overloaded, read_only, translate, unknown_outcome
from tidewire.store.health import Health
from tidewire.store.sqlite_thread import SqliteThread

T = TypeVar("T")

# A transaction that collided with another one is tried so often in all. Two that collide once seldom collide again.
ATTEMPTS = 3
# A server that does not take a goodbye must not hold up the end.
STOP_S = 2.0
# Longest pause before the next try, seconds; it is drawn evenly, so that two victims do not meet again.
RETRY_PAUSE_S = 0.1


@dataclass(slots=True)
class _Lease:
    """One transaction's hold on a connection."""

    connection: Any
    expired: bool = False
    committing: bool = False

    @property
    def ended(self) -> bool:
        """Whether the connection was terminated; within a statement asyncpg 0.32 raises an AttributeError then."""
        return bool(self.connection.is_closed())

    def expire(self) -> None:
        """The deadline has passed: end the connection, whatever it is waiting for."""
        self.expired = True
        self.connection.terminate()


class Database:
    """A pool of connections to one database, for one use.

    Args:
        url: ``sqlite:///file`` or ``postgresql://user:password@host/database``.
        bulkhead: How many connections, how long.
        health: Shared with the other uses of the same database.
        writing: Held by whoever writes to a SQLite file; shared likewise.

    Raises:
        SettingsError: The URL is wrong or its driver is missing.
    """

    def __init__(
        self,
        url: str,
        bulkhead: Bulkhead = REQUESTS,
        health: Health | None = None,
        writing: asyncio.Lock | None = None,
    ) -> None:
        self.url = parse_url(url)
        self.bulkhead = bulkhead
        self.health = health or Health()
        self._text = url
        self._engine = create_engine(self.url, bulkhead)
        # A read is one statement, which needs no BEGIN and ROLLBACK around it: one round trip instead of three.
        reading = (
            self._engine if self.kind == "sqlite" else self._engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        self._readers = async_sessionmaker(reading, expire_on_commit=False)
        self._writers = async_sessionmaker(
            self._engine.execution_options(**{WRITES: True}), expire_on_commit=False, autoflush=False
        )
        self._thread = SqliteThread(self.url, bulkhead) if self.kind == "sqlite" else None
        self._open: WeakSet[Any] = WeakSet()
        self._writing = writing or asyncio.Lock()
        self._chance = random.Random()  # noqa: S311 - it spreads retries, and guards nothing
        self._counts = dict.fromkeys(("taken", "overloaded", "expired", "collided", "retried", "refused"), 0)
        self._waited_s = 0.0
        self._told: list[Callable[[Set[Any]], None]] = []
        if self.kind == "postgres":
            event.listen(self._engine.sync_engine, "connect", self._connected)

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgres``."""
        return "sqlite" if is_sqlite(self.url) else "postgres"

    @property
    def shown_url(self) -> str:
        """The URL with its password masked."""
        return self.url.render_as_string(hide_password=True)

    def on_commit(self, told: Callable[[Set[Any]], None]) -> None:
        """Call ``told`` after each commit with the marks that the transaction has put into ``session.info``."""
        self._told.append(told)

    def beside(self, bulkhead: Bulkhead) -> Database:
        """Return another use of the same database, with a pool of its own; it is stopped on its own."""
        return Database(self._text, bulkhead, self.health, self._writing)

    async def start(self) -> None:
        """Connect once, so that a wrong URL ends the start. Raises StoreError."""
        try:
            ensure_file(self.url)
        except OSError as exc:
            raise translate(exc) from exc
        await self.ping()

    async def fill(self) -> None:
        """Open every connection that the pool may have, if that costs nobody else anything (SQLite). Raises StoreError.

        Each takes memory for good: better at the start than a week later with a burst, when it looks like a leak.
        """
        if self.kind != "sqlite":
            return
        try:
            async with AsyncExitStack() as opened:
                for _ in range(self.bulkhead.connections):
                    await opened.enter_async_context(self._engine.connect())
        except FOREIGN as exc:
            raise translate(exc) from exc

    async def stop(self) -> None:
        """Close every connection. Idempotent."""
        if self.health.state == "down":
            self.cut()
        if self._thread is not None:
            self._thread.stop()
        try:
            async with asyncio.timeout(STOP_S):
                await self._engine.dispose()
        except TimeoutError:
            self.cut()

    def cut(self) -> None:
        """End every connection at once: they lead to a server that is not there any more. Those in use get an error."""
        for connection in list(self._open):
            connection.terminate()

    async def ping(self) -> float:
        """Return the round-trip time in milliseconds. Raises StoreError."""
        began = time.perf_counter()
        async with self.read() as session:
            await session.execute(text("SELECT 1"))
        return (time.perf_counter() - began) * 1000.0

    async def probe(self) -> float:
        """Ask, even while the state is down, whether it answers and takes writes; return the time in milliseconds.

        Raises:
            StoreError: It does not; ``storage_read_only`` if it answers but takes no writes.
        """
        began = time.perf_counter()
        async with self._session(self._readers, admit=False) as session:
            if self.kind == "sqlite":
                await session.execute(text("SELECT 1"))
            elif await session.scalar(text("SELECT current_setting('transaction_read_only')")) == "on":
                raise read_only()
        return (time.perf_counter() - began) * 1000.0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A block that only reads; each statement sees the database as it is then. Raises StoreError."""
        with span("store.read", {"db.system.name": self.kind}):
            async with self._session(self._readers) as session:
                yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """A transaction that is committed at the end of the block, or rolled back if the block raises.

        Raises:
            StoreError: ``outcome_unknown`` if the connection broke during the commit, else nothing was stored.
        """
        with span("store.write", {"db.system.name": self.kind}):
            async with self._turn(), self._session(self._writers, commit=True) as session:
                yield session

    async def transact(self, work: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run ``work`` in a write transaction, and again if the database undid it because it collided with another.

        A deadlock's victim (40P01) and a serialization failure (40001) are undone by the server for certain, so that
        trying again is safe; no other failure is tried again.

        Args:
            work: May touch nothing but the session it is given, because it may run more than once.

        Raises:
            StoreError: As ``write``; ``storage_busy`` after ATTEMPTS collisions.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self.write() as session:
                    return await work(session)
            except StoreError as exc:
                if not collided(exc.__cause__):
                    raise
                self._counts["collided"] += 1
                if attempt == ATTEMPTS:
                    raise
            self._counts["retried"] += 1
            await asyncio.sleep(self._chance.random() * RETRY_PAUSE_S * attempt)
        raise AssertionError("unreachable")  # pragma: no cover - the last attempt returns or raises

    async def write_at_once(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` as ``transact`` does, but without a way to wait for anything beside the database.

        On SQLite that is one errand of another thread instead of one for each statement.

        Args:
            work: May touch nothing but its connection: it may run more than once, and in another thread.

        Raises:
            StoreError: As ``transact``.
        """
        if self._thread is None:
            return await self.transact(lambda session: _run_at_once(session, work))
        refusal = self.health.refusal()
        if refusal is not None:
            self._counts["refused"] += 1
            raise refusal
        async with self._turn():
            self._counts["taken"] += 1
            try:
                return await self._thread.write(work)
            except FOREIGN as exc:
                raise self._translate(exc, None) from exc

    def statistics(self) -> dict[str, float]:
        """Return the pool's figures.

        ``open`` and ``in_use`` connections, of ``connections_max``; since start: ``taken`` (a connection was handed
        out), ``waited_seconds`` for it, ``overloaded`` (none was free in time), ``expired`` (terminated at the
        deadline), ``collided`` and ``retried`` (see ``transact``), ``refused`` (at once, because the database is down).
        """
        pool: Any = self._engine.pool
        return {
            "open": pool.checkedin() + pool.checkedout(),
            "in_use": pool.checkedout(),
            "connections_max": self.bulkhead.connections,
            "waited_seconds": round(self._waited_s, 6),
            **self._counts,
        }

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for one's turn to write to SQLite, first come first served.

        SQLite takes one writer at a time, and lets those that wait sleep and try again: under load some never get
        their turn before the deadline, however short each transaction is.
        Source: SQLite manual, "sqlite3_busy_timeout"; measured by ``python -m bench.rating``.
        """
        if self.kind != "sqlite":
            yield
            return
        try:
            async with asyncio.timeout(self.bulkhead.wait_s):
                await self._writing.acquire()
        except TimeoutError as exc:
            self._counts["overloaded"] += 1
            raise overloaded() from exc
        try:
            yield
        finally:
            self._writing.release()

    @asynccontextmanager
    async def _session(
        self, maker: async_sessionmaker[AsyncSession], *, commit: bool = False, admit: bool = True
    ) -> AsyncIterator[AsyncSession]:
        refusal = self.health.refusal() if admit else None
        if refusal is not None:
            self._counts["refused"] += 1
            raise refusal
        lease: _Lease | None = None
        timer: asyncio.TimerHandle | None = None
        try:
            async with maker() as session:
                until = asyncio.get_running_loop().time() + self.bulkhead.deadline_s
                lease = await self._take(session, until)
                if lease is not None:
                    timer = asyncio.get_running_loop().call_at(until, lease.expire)
                yield session
                if commit:
                    await session.flush()
                    if lease is not None:
                        lease.committing = True
                    await session.commit()
                    for told in self._told:
                        told(session.info.keys())
        except FOREIGN as exc:
            raise self._translate(exc, lease) from exc
        except AttributeError as exc:
            if lease is None or not lease.ended:
                raise
            raise self._translate(exc, lease) from exc
        finally:
            if timer is not None:
                timer.cancel()

    async def _take(self, session: AsyncSession, until: float) -> _Lease | None:
        """Give the session its connection; return it if it can be terminated."""
        began = time.perf_counter()
        try:
            if self.kind == "sqlite":
                await session.connection()
                return None
            async with asyncio.timeout_at(until):
                raw = await (await session.connection()).get_raw_connection()
            return _Lease(raw.driver_connection)
        finally:
            self._counts["taken"] += 1
            self._waited_s += time.perf_counter() - began

    def _translate(self, error: Exception, lease: _Lease | None) -> StoreError:
        if lease is not None and lease.committing and (lease.expired or _connection_lost(error)):
            return unknown_outcome(error)
        if lease is not None and lease.expired:
            self._counts["expired"] += 1
            return late(error)
        # The watch cuts connections in use, too; why, it knows better than the broken connection.
        refusal = self.health.refusal() if _connection_lost(error) else None
        found = refusal or translate(error)
        if found.code == "storage_overloaded":
            self._counts["overloaded"] += 1
        if found.code == "storage_read_only" and lease is not None:
            # The primary may be elsewhere by now; the next use asks for it anew.
            lease.connection.terminate()
        return found

    def _connected(self, connection: Any, _record: Any) -> None:
        self._open.add(driver_connection(connection))


async def _run_at_once(session: AsyncSession, work: Callable[[Connection], T]) -> T:
    return await (await session.connection()).run_sync(work)


def _connection_lost(error: Exception) -> bool:
    return isinstance(error, OSError | AttributeError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
