"""Queries over the admins' activity log: add a row, read the newest. It must not know which actions there are."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.store.database import Database
from tidewire.store.models import AdminActivityLog
from tidewire.store.records import ActivityEntry, ActivityRecord
from tidewire.store.rows import activity_record

# Most rows that one read returns, whatever is asked for.
READ_MAX = 500


def insert_activity(session: AsyncSession, entry: ActivityEntry | None) -> None:
    """Add ``entry`` to the transaction of the change that it tells of; None adds nothing."""
    if entry is None:
        return
    session.add(
        AdminActivityLog(
            at=entry.at,
            actor_id=entry.actor_id,
            actor=entry.actor[:64],
            action=entry.action,
            target=entry.target[:255],
            details=dict(entry.details),
            ip=entry.ip[:64],
        )
    )


class ActivityLog:
    """The table ``admin_activity_logs``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entry: ActivityEntry) -> None:
        """Add one row. Raises StoreError."""
        async with self._database.write() as session:
            insert_activity(session, entry)

    async def recent(
        self, *, limit: int = 100, before_id: int | None = None, action: str | None = None
    ) -> list[ActivityRecord]:
        """Return the newest rows first, at most ``limit`` (capped at 500). Raises StoreError.

        Args:
            before_id: Only rows older than this one, for paging.
            action: Only rows of this action.
        """
        query = select(AdminActivityLog).order_by(AdminActivityLog.id.desc()).limit(min(limit, READ_MAX))
        if before_id is not None:
            query = query.where(AdminActivityLog.id < before_id)
        if action is not None:
            query = query.where(AdminActivityLog.action == action)
        async with self._database.read() as session:
            return [activity_record(row) for row in await session.scalars(query)]
