"""Writes how long things took, in steps of time, and forgets what is old. It must not know what was timed."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.store.database import Database
from tidewire.store.models import Base
from tidewire.store.timing_records import Timing, TimingKey

_TABLE = Base.metadata.tables["analytics_timings"]
_KEY = ("kind", "step_at", "node", "outcome")
_COUNTS = [column.name for column in _TABLE.c if column.name not in _KEY]


class Timings:
    """The table ``analytics_timings``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        insert = sqlite.insert if database.kind == "sqlite" else postgresql.insert
        made = insert(_TABLE)
        counted = {name: _TABLE.c[name] + made.excluded[name] for name in _COUNTS}
        self._add = made.on_conflict_do_update(index_elements=_KEY, set_=counted)

    async def add(self, timings: Mapping[TimingKey, Timing]) -> None:
        """Count them to what is there, all or none. Raises StoreError."""
        # In one order everywhere, so that two nodes never wait for each other.
        rows = [_row(key, timings[key]) for key in sorted(timings)]

        async def work(session: AsyncSession) -> None:
            await session.execute(self._add, rows)

        if rows:
            await self._database.transact(work)

    async def purge(self, before: float) -> None:
        """Forget what is older. Raises StoreError."""
        async with self._database.write() as session:
            kinds = _TABLE.c.kind.in_(("api", "calculation"))
            await session.execute(delete(_TABLE).where(kinds, _TABLE.c.step_at < before))


def _row(key: TimingKey, timing: Timing) -> dict[str, object]:
    buckets = {f"b{number}": count for number, count in enumerate(timing.buckets)}
    return {**key._asdict(), "count": timing.count, "total_ms": timing.total_ms, **buckets}
