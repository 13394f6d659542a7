"""Opens the database: tables checked or made, started, watched, and closed at the end. It must not know who uses it.

SQLite is ours alone, so its tables are brought up to date; a Postgres may be shared: there an operator runs
``tidewire migrate``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tidewire.core.clock import Clock
from tidewire.store import migrate
from tidewire.store.bulkhead import BACKGROUND, REQUESTS, TOOL, Bulkhead
from tidewire.store.database import Database
from tidewire.store.watch import Watch


@dataclass(frozen=True, slots=True)
class Storage:
    """The database of a service.

    Attributes:
        requests: For whoever waits for an answer.
        background: For jobs; however slow they are, requests are not.
        watch: Knows whether the database answers.
    """

    requests: Database
    background: Database
    watch: Watch

    def gauges(self) -> dict[str, float]:
        """Return what goes up and down, for metrics."""
        found = {name: float(value) for name, value in self.watch.statistics().items()}
        for use in (self.requests, self.background):
            for name in _GAUGES:
                found[f"pool_{use.bulkhead.name}_{name}"] = use.statistics()[name]
        return found

    def counters(self) -> dict[str, float]:
        """Return what only rises, for metrics."""
        found = {name: float(value) for name, value in self.watch.counters().items()}
        for use in (self.requests, self.background):
            for name, value in use.statistics().items():
                if name not in _GAUGES:
                    found[f"pool_{use.bulkhead.name}_{name}"] = value
        return found


_GAUGES = ("open", "in_use", "connections_max")


def is_missing(url: str) -> bool:
    """Whether ``url`` names a SQLite file that does not exist yet. Raises SettingsError if it is no database URL."""
    database = Database(url).url
    return database.get_backend_name() == "sqlite" and not Path(database.database or "").exists()


@asynccontextmanager
async def opened_database(url: str, bulkhead: Bulkhead = TOOL) -> AsyncIterator[Database]:
    """Yield a started database with the newest tables. Raises SettingsError or StoreError."""
    database = Database(url, bulkhead)
    try:
        await database.start()
        if database.kind == "sqlite":
            await migrate.upgrade(url)
        else:
            await migrate.check(url)
        yield database
    finally:
        await database.stop()


@asynccontextmanager
async def opened_storage(url: str, clock: Clock) -> AsyncIterator[Storage]:
    """Yield a service's database, watched. Raises SettingsError, and StoreError if it does not answer now.

    A service that cannot ask who anybody is does not start: whoever runs it is told, and starts it again.
    """
    async with opened_database(url, REQUESTS) as requests:
        background = requests.beside(BACKGROUND)
        watch = Watch((requests, background), clock)
        try:
            await watch.start()
            for use in (requests, background):
                await use.fill()
            yield Storage(requests, background, watch)
        finally:
            await watch.stop()
            await background.stop()
