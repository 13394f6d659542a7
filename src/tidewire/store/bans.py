"""Queries over bans: which are in force, add, lift, list. It must not know what a ban keeps somebody from.

A ban and the line of the audit that tells of it are one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.store import models
from tidewire.store.activity import insert_activity
from tidewire.store.ban_records import Ban, BanPage, NewBan
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry, UserRecord
from tidewire.store.rows import affected, user_record
from tidewire.store.users import username_key

BanState = Literal["in_force", "expired", "lifted", "all"]
# Rows that one statement deletes: no step comes near the deadline however much there is.
PURGE_STEP = 1_000
# Words of a search beyond this find nothing more.
SEARCH_WORDS = 8

_TABLE = models.Ban


class Bans:
    """The table ``bans``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_force(self, now: float) -> list[Ban]:
        """Return every ban that keeps out at this moment. Raises StoreError."""
        async with self._database.read() as session:
            return [_ban(row) for row in await session.scalars(select(_TABLE).where(_holds(now)).order_by(_TABLE.id))]

    async def add(
        self,
        wanted: Sequence[NewBan],
        audit: Sequence[ActivityEntry],
        *,
        reason: str,
        by: str,
        now: float,
        expires_at: float | None,
    ) -> list[Ban]:
        """Store all of them, or none. Raises StoreError.

        Args:
            audit: A line for each.
        """
        rows = [
            _TABLE(
                user_id=new.user_id,
                username=new.username,
                network=new.network,
                reason=reason,
                search=" ".join((new.username, new.network, reason, by)).casefold(),
                created_at=now,
                created_by=by,
                expires_at=expires_at,
                lifted_at=None,
                lifted_by="",
            )
            for new in wanted
        ]

        async def work(session: AsyncSession) -> list[Ban]:
            session.add_all(rows)
            for entry in audit:
                insert_activity(session, entry)
            await session.flush()
            return [_ban(row) for row in rows]

        return await self._database.transact(work)

    async def lift(self, ban_id: int, *, now: float, by: str, audit: ActivityEntry) -> Ban | None:
        """End a ban that is in force; None if there is none of that number. Raises StoreError."""
        statement = (
            update(_TABLE).where(_TABLE.id == ban_id, _holds(now)).values(lifted_at=now, lifted_by=by).returning(_TABLE)
        )

        async def work(session: AsyncSession) -> Ban | None:
            row = (await session.scalars(statement)).one_or_none()
            if row is None:
                return None
            insert_activity(session, audit)
            return _ban(row)

        return await self._database.transact(work)

    async def purge(self, before: float) -> int:
        """Delete bans that were over before a time; return how many, in bounded steps. Raises StoreError.

        What the audit says of them stays.
        """
        expired = and_(_TABLE.lifted_at.is_(None), _TABLE.expires_at < before)
        old = select(_TABLE.id).where(or_(_TABLE.lifted_at < before, expired)).limit(PURGE_STEP)
        statement = (
            delete(_TABLE).where(_TABLE.id.in_(old.scalar_subquery())).execution_options(synchronize_session=False)
        )
        deleted, step = 0, PURGE_STEP
        while step == PURGE_STEP:
            step = affected(await self._database.transact(lambda session: session.execute(statement)))
            deleted += step
        return deleted

    async def get(self, ban_id: int) -> Ban | None:
        """Return one, in force or not. Raises StoreError."""
        async with self._database.read() as session:
            row = await session.get(_TABLE, ban_id)
            return None if row is None else _ban(row)

    async def page(
        self,
        state: BanState,
        text: str,
        *,
        now: float,
        limit: int,
        before: int | None,
        keep: Collection[int] = (),
        oldest_first: bool = False,
    ) -> BanPage:
        """Return a part of the list, newest first unless told otherwise. Raises StoreError.

        Args:
            before: The id of the last one of the part that was seen before.
            keep: Ids of bans that are wanted beside it.
        """
        matching = [_in_state(state, now), *(_has(word) for word in text.casefold().split()[:SEARCH_WORDS])]
        order = _TABLE.id.asc() if oldest_first else _TABLE.id.desc()
        query = select(_TABLE).where(*matching).order_by(order).limit(limit + 1)
        if before is not None:
            query = query.where(_TABLE.id > before if oldest_first else _TABLE.id < before)
        async with self._database.read() as session:
            found = [_ban(row) for row in await session.scalars(query)]
            count = await session.scalar(select(func.count()).select_from(_TABLE).where(*matching)) or 0
            shown = found[:limit]
            rest = set(keep) - {ban.id for ban in shown}
            wanted = select(_TABLE).where(*matching, _TABLE.id.in_(rest)).order_by(_TABLE.id.desc())
            kept = [_ban(row) for row in await session.scalars(wanted)] if rest else []
        return BanPage(shown, kept, count, shown[-1].id if len(found) > limit else None)

    async def users_named(self, names: Collection[str]) -> dict[str, UserRecord]:
        """Return those of these users that there are, by the name that was asked for. Raises StoreError."""
        keys = {name: username_key(name) for name in names}
        query = select(models.User).where(models.User.username_key.in_(set(keys.values())))
        async with self._database.read() as session:
            found = {row.username_key: user_record(row) for row in await session.scalars(query)}
        return {name: found[key] for name, key in keys.items() if key in found}


def _holds(now: float) -> ColumnElement[bool]:
    return and_(_TABLE.lifted_at.is_(None), or_(_TABLE.expires_at.is_(None), _TABLE.expires_at > now))


def _in_state(state: BanState, now: float) -> ColumnElement[bool]:
    if state == "in_force":
        return _holds(now)
    if state == "expired":
        return and_(_TABLE.lifted_at.is_(None), _TABLE.expires_at <= now)
    return _TABLE.lifted_at.is_not(None) if state == "lifted" else _TABLE.id > 0


def _has(word: str) -> ColumnElement[bool]:
    return _TABLE.search.contains(word, autoescape=True)


def _ban(row: models.Ban) -> Ban:
    return Ban(
        id=row.id,
        user_id=row.user_id,
        username=row.username,
        network=row.network,
        reason=row.reason,
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        lifted_at=row.lifted_at,
        lifted_by=row.lifted_by,
    )
