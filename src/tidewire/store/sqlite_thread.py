"""A thread that runs whole transactions on a SQLite file. It must not know what they do.

The async driver hands every statement to a thread and back, some twenty times a transaction; for a short one that costs
ten times what SQLite does. Here the whole transaction is one such errand, on a connection of its own.
Measured by ``python -m bench edits``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import URL, Connection

from tidewire.store.bulkhead import Bulkhead
from tidewire.store.engine import create_thread_engine

_T = TypeVar("_T")


class SqliteThread:
    """See the module's text. Nothing is opened before the first transaction."""

    def __init__(self, url: URL, bulkhead: Bulkhead) -> None:
        self._engine = create_thread_engine(url, bulkhead)
        self._thread = ThreadPoolExecutor(1, "sqlite-writer")

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """Run ``work`` in a write transaction. Raises what SQLAlchemy raises, and what ``work`` does."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write, work)

    def _write(self, work: Callable[[Connection], _T]) -> _T:
        with self._engine.begin() as connection:
            return work(connection)

    def stop(self) -> None:
        """Close the connection. Idempotent."""
        self._thread.shutdown(wait=True)
        self._engine.dispose()
