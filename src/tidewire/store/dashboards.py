"""Queries over the operators' dashboards and over which is whose first page. It must not know what a widget is.

Each write is one transaction with its audit row. A change names the version it was made from, and is refused if that is
not the present one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.core.errors import Conflict, Forbidden, NotFound
from tidewire.store.activity import insert_activity
from tidewire.store.database import Database
from tidewire.store.models import AdminDashboard, AdminDashboardDefault, User
from tidewire.store.records import ActivityEntry

PER_OWNER_MAX = 100
# Row of ``admin_dashboard_defaults`` that holds for everybody without one of their own; no user has this number.
EVERYBODY = 0


@dataclass(frozen=True, slots=True)
class DashboardRecord:
    """One row of ``admin_dashboards``, with the owner's name ("" once the owner is gone)."""

    id: str
    owner_id: int | None
    owner: str
    name: str
    shared: bool
    version: int
    widgets: list[dict[str, Any]]
    created_at: float
    updated_at: float


class Dashboards:
    """The tables ``admin_dashboards`` and ``admin_dashboard_defaults``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def visible(self, user_id: int) -> list[DashboardRecord]:
        """Return what a user may see: own first, then the shared ones, by name. Raises StoreError."""
        query = (
            select(AdminDashboard, User.username)
            .outerjoin(User, User.id == AdminDashboard.owner_id)
            .where(or_(AdminDashboard.owner_id == user_id, AdminDashboard.shared))
            .order_by(AdminDashboard.name, AdminDashboard.id)
        )
        async with self._database.read() as session:
            rows = [_record(row, owner) for row, owner in await session.execute(query)]
        return sorted(rows, key=lambda row: row.owner_id != user_id)

    async def get(self, dashboard_id: str, user_id: int) -> DashboardRecord:
        """Return one that the user may see. Raises NotFound, StoreError."""
        async with self._database.read() as session:
            return await _seen(session, dashboard_id, user_id)

    async def create(self, record: DashboardRecord, audit: ActivityEntry) -> None:
        """Store a new one. Raises Conflict if its owner has too many, StoreError."""
        async with self._database.write() as session:
            owned = select(func.count()).select_from(AdminDashboard).where(AdminDashboard.owner_id == record.owner_id)
            if (await session.scalar(owned) or 0) >= PER_OWNER_MAX:
                raise Conflict(
                    f"You have {PER_OWNER_MAX} dashboards, which is the most.",
                    required_action="Delete one that is not needed, then try again.",
                    will_not="Tidewire will not delete one by itself; nothing was stored.",
                    code="too_many_dashboards",
                    details={"most": PER_OWNER_MAX},
                )
            session.add(
                AdminDashboard(
                    id=record.id,
                    owner_id=record.owner_id,
                    name=record.name,
                    shared=record.shared,
                    version=record.version,
                    widgets=record.widgets,
                    created_at=record.created_at,
                    updated_at=record.updated_at,
                )
            )
            insert_activity(session, audit)

    async def replace(
        self,
        dashboard_id: str,
        user_id: int,
        *,
        name: str,
        shared: bool,
        widgets: list[dict[str, Any]],
        version: int,
        now: float,
        audit: ActivityEntry,
    ) -> DashboardRecord:
        """Change one that the user owns, if it has that version; return it as it is now.

        Raises:
            NotFound: There is none, or it may not be seen.
            Forbidden: It is somebody else's.
            Conflict: It has another version; ``details.version`` is the present one.
        """
        async with self._database.write() as session:
            row = await _owned(session, dashboard_id, user_id)
            if row.version != version:
                raise Conflict(
                    "The dashboard has been changed since it was opened here.",
                    required_action="Load it again, make the change there, and save.",
                    will_not="Tidewire will not overwrite the other change; nothing was stored.",
                    details={"version": row.version},
                )
            row.name, row.shared, row.widgets = name, shared, widgets
            row.version, row.updated_at = version + 1, now
            insert_activity(session, audit)
            await session.flush()
            owner = await session.scalar(select(User.username).where(User.id == user_id))
            return _record(row, owner)

    async def remove(self, dashboard_id: str, user_id: int, audit: ActivityEntry) -> None:
        """Delete one that the user owns; whoever began with it begins with the general one again.

        Raises NotFound, Forbidden, StoreError.
        """
        async with self._database.write() as session:
            row = await _owned(session, dashboard_id, user_id)
            await session.execute(
                delete(AdminDashboardDefault).where(AdminDashboardDefault.dashboard_id == dashboard_id)
            )
            await session.delete(row)
            insert_activity(session, audit)

    async def defaults(self, user_id: int) -> tuple[str | None, str | None]:
        """Return the ids of the user's own first dashboard and of everybody's, as far as the user may see them."""
        query = (
            select(AdminDashboardDefault.user_id, AdminDashboardDefault.dashboard_id)
            .join(AdminDashboard, AdminDashboard.id == AdminDashboardDefault.dashboard_id)
            .where(AdminDashboardDefault.user_id.in_((user_id, EVERYBODY)))
            .where(or_(AdminDashboard.owner_id == user_id, AdminDashboard.shared))
        )
        async with self._database.read() as session:
            found = {row.user_id: row.dashboard_id for row in await session.execute(query)}
        return found.get(user_id), found.get(EVERYBODY)

    async def set_default(
        self, user_id: int, dashboard_id: str | None, *, everybody: bool, audit: ActivityEntry
    ) -> None:
        """Make one the first page of a user, or of everybody without one; None takes that back.

        Raises:
            NotFound: There is none, or it may not be seen.
            Conflict: Everybody's must be shared.
        """
        whose = EVERYBODY if everybody else user_id
        async with self._database.write() as session:
            if dashboard_id is not None:
                record = await _seen(session, dashboard_id, user_id)
                if everybody and not record.shared:
                    raise Conflict(
                        "Only a shared dashboard can be everybody's first page.",
                        required_action="Share it, then make it the first page.",
                        will_not="Tidewire will not share it by itself; nothing was changed.",
                        code="dashboard_not_shared",
                    )
            await session.execute(delete(AdminDashboardDefault).where(AdminDashboardDefault.user_id == whose))
            if dashboard_id is not None:
                session.add(AdminDashboardDefault(user_id=whose, dashboard_id=dashboard_id))
            insert_activity(session, audit)


async def _seen(session: AsyncSession, dashboard_id: str, user_id: int) -> DashboardRecord:
    query = (
        select(AdminDashboard, User.username)
        .outerjoin(User, User.id == AdminDashboard.owner_id)
        .where(AdminDashboard.id == dashboard_id)
        .where(or_(AdminDashboard.owner_id == user_id, AdminDashboard.shared))
    )
    found = (await session.execute(query)).one_or_none()
    if found is None:
        raise _absent()
    return _record(found[0], found[1])


async def _owned(session: AsyncSession, dashboard_id: str, user_id: int) -> AdminDashboard:
    row = await session.scalar(select(AdminDashboard).where(AdminDashboard.id == dashboard_id).with_for_update())
    if row is None or (row.owner_id != user_id and not row.shared):
        raise _absent()
    if row.owner_id != user_id:
        raise Forbidden(
            "Only its owner may change a dashboard.",
            required_action="Make a copy and change that.",
            will_not="Tidewire will not change a page that others rely on; nothing was stored.",
            details={"dashboard": dashboard_id},
        )
    return row


def _absent() -> NotFound:
    return NotFound(
        "There is no such dashboard, or it is not shared with you.",
        required_action="Choose one from the list of dashboards.",
        will_not="Tidewire will not pick another one.",
        code="unknown_dashboard",
    )


def _record(row: AdminDashboard, owner: str | None) -> DashboardRecord:
    return DashboardRecord(
        id=row.id,
        owner_id=row.owner_id,
        owner=owner or "",
        name=row.name,
        shared=row.shared,
        version=row.version,
        widgets=list(row.widgets),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
