"""Queries over login sessions. It must not know cookies, nor when a session counts as idle.

A row is found by the digest of its token; the token itself never comes here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.store.activity import insert_activity
from tidewire.store.batched import Batched
from tidewire.store.database import Database
from tidewire.store.models import Session, User
from tidewire.store.records import ActivityEntry, SessionRecord, UserRecord
from tidewire.store.rows import affected, session_record, user_record

# Asked for every group of handshakes: made once, since a statement with a list in it is thousands of bytes in cycles.
_FOUND = select(Session, User).join(User, User.id == Session.user_id)
_BY_DIGESTS = _FOUND.where(Session.token_hash.in_(bindparam("digests", expanding=True)))
_BY_IDS = _FOUND.where(Session.id.in_(bindparam("ids", expanding=True)))


class Sessions:
    """The table ``sessions``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_digest = Batched(self._find)
        self._by_id = Batched(self._find_ids)

    async def add(self, record: SessionRecord, audit: ActivityEntry | None = None) -> None:
        """Add a session and its audit row in one transaction. Raises StoreError."""
        async with self._database.write() as session:
            session.add(
                Session(
                    id=record.id,
                    token_hash=record.token_hash,
                    user_id=record.user_id,
                    created_at=record.created_at,
                    last_seen=record.last_seen,
                    expires_at=record.expires_at,
                    ip=record.ip[:64],
                    user_agent=record.user_agent[:256],
                )
            )
            insert_activity(session, audit)

    async def find(self, token_hash: bytes) -> tuple[SessionRecord, UserRecord] | None:
        """Return the session with this digest and its user, whatever their state. Raises StoreError."""
        return await self._by_digest.get(token_hash)

    async def by_id(self, session_id: str) -> tuple[SessionRecord, UserRecord] | None:
        """Return the session with this public id and its user, whatever their state. Raises StoreError."""
        return await self._by_id.get(session_id)

    async def by_ids(self, session_ids: Collection[str]) -> list[tuple[SessionRecord, UserRecord]]:
        """Return the sessions with these public ids and their users, whatever their state. Raises StoreError."""
        async with self._database.read() as session:
            rows = await session.execute(_BY_IDS, {"ids": list(session_ids)})
            return [(session_record(row[0]), user_record(row[1])) for row in rows]

    async def _find(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[SessionRecord, UserRecord]]:
        async with self._database.read() as session:
            rows = await session.execute(_BY_DIGESTS, {"digests": list(hashes)})
            return {row[0].token_hash: (session_record(row[0]), user_record(row[1])) for row in rows}

    async def _find_ids(self, session_ids: Sequence[str]) -> dict[str, tuple[SessionRecord, UserRecord]]:
        return {found[0].id: found for found in await self.by_ids(session_ids)}

    async def touch_all(self, session_ids: Collection[str], now: float) -> None:
        """Note that the sessions were used at ``now``; never moves back. Raises StoreError."""
        of_these = Session.id.in_(session_ids)
        statement = update(Session).where(of_these, Session.last_seen < now).values(last_seen=now)
        # Two nodes that review sockets of the same logins lock the same rows, each in its own order.
        await self._database.transact(lambda session: session.execute(statement))

    async def touch(self, session_id: str, now: float) -> None:
        """Note that the session was used at ``now``; never moves back. Raises StoreError."""
        statement = update(Session).where(Session.id == session_id, Session.last_seen < now).values(last_seen=now)
        async with self._database.write() as session:
            await session.execute(statement)

    async def revoke(self, session_id: str, now: float, audit: ActivityEntry | None = None) -> bool:
        """End one session; False if it was ended already or is unknown. Raises StoreError."""

        async def work(session: AsyncSession) -> bool:
            found = await session.scalars(
                update(Session)
                .where(Session.id == session_id, Session.revoked_at.is_(None))
                .values(revoked_at=now)
                .returning(Session.id)
            )
            ended = found.one_or_none() is not None
            if ended:
                insert_activity(session, audit)
            return ended

        return await self._database.transact(work)

    async def revoke_user(self, user_id: int, now: float, audit: ActivityEntry | None = None) -> list[str]:
        """End every session of a user and return their ids. Raises StoreError."""

        async def work(session: AsyncSession) -> list[str]:
            insert_activity(session, audit)
            return await revoke_all(session, user_id, now)

        return await self._database.transact(work)

    async def of_user(self, user_id: int, now: float) -> list[SessionRecord]:
        """Return the user's sessions that are neither revoked nor past their end at ``now``, newest first."""
        query = (
            select(Session)
            .where(Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > now)
            .order_by(Session.created_at.desc(), Session.id)
        )
        async with self._database.read() as session:
            return [session_record(row) for row in await session.scalars(query)]

    async def purge(self, *, expired_before: float, idle_before: float) -> int:
        """Delete sessions that ended, were revoked or were last used before the given times; return how many."""
        statement = delete(Session).where(
            or_(
                Session.expires_at < expired_before,
                Session.revoked_at < expired_before,
                Session.last_seen < idle_before,
            )
        )
        return affected(await self._database.transact(lambda session: session.execute(statement)))


async def revoke_all(session: AsyncSession, user_id: int, now: float) -> list[str]:
    """End every session of a user inside a running transaction and return their ids."""
    found = await session.scalars(
        update(Session)
        .where(Session.user_id == user_id, Session.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(Session.id)
    )
    return list(found)
