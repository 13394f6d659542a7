"""Queries over API keys. It must not know what a key looks like or when it counts as ended; digests find keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import bindparam, select, update

from tidewire.store.activity import insert_activity
from tidewire.store.batched import Batched
from tidewire.store.database import Database
from tidewire.store.models import ApiKey, User
from tidewire.store.records import ActivityEntry, ApiKeyRecord, UserRecord
from tidewire.store.rows import api_key_record, user_record

# Asked for every group of requests: made once, as those of ``sessions``.
_FOUND = select(ApiKey, User).join(User, User.id == ApiKey.user_id)
_BY_DIGESTS = _FOUND.where(ApiKey.key_hash.in_(bindparam("digests", expanding=True)))
_BY_IDS = _FOUND.where(ApiKey.id.in_(bindparam("ids", expanding=True)))


class ApiKeys:
    """The table ``api_keys``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_digest = Batched(self._find)

    async def add(self, record: ApiKeyRecord, audit: ActivityEntry | None = None) -> None:
        """Add a key and its audit row in one transaction. Raises StoreError."""
        async with self._database.write() as session:
            session.add(
                ApiKey(
                    id=record.id,
                    key_hash=record.key_hash,
                    user_id=record.user_id,
                    name=record.name,
                    permissions=None if record.permissions is None else sorted(record.permissions),
                    created_at=record.created_at,
                    expires_at=record.expires_at,
                )
            )
            insert_activity(session, audit)

    async def find(self, key_hash: bytes) -> tuple[ApiKeyRecord, UserRecord] | None:
        """Return the key with this digest and its user, whatever their state. Raises StoreError."""
        return await self._by_digest.get(key_hash)

    async def by_ids(self, key_ids: Collection[str]) -> list[tuple[ApiKeyRecord, UserRecord]]:
        """Return the keys with these public ids and their users, whatever their state. Raises StoreError."""
        async with self._database.read() as session:
            rows = await session.execute(_BY_IDS, {"ids": list(key_ids)})
            return [(api_key_record(row[0]), user_record(row[1])) for row in rows]

    async def _find(self, hashes: Sequence[bytes]) -> dict[bytes, tuple[ApiKeyRecord, UserRecord]]:
        async with self._database.read() as session:
            rows = await session.execute(_BY_DIGESTS, {"digests": list(hashes)})
            return {row[0].key_hash: (api_key_record(row[0]), user_record(row[1])) for row in rows}

    async def list_all(self) -> list[tuple[ApiKeyRecord, UserRecord]]:
        """Return every key with its user, newest first. Raises StoreError."""
        query = select(ApiKey, User).join(User, User.id == ApiKey.user_id).order_by(ApiKey.created_at.desc(), ApiKey.id)
        async with self._database.read() as session:
            return [(api_key_record(row[0]), user_record(row[1])) for row in await session.execute(query)]

    async def touch(self, key_id: str, now: float) -> None:
        """Note that the key was used at ``now``. Raises StoreError."""
        async with self._database.write() as session:
            await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now))

    async def revoke(self, key_id: str, now: float, audit: ActivityEntry | None = None) -> bool:
        """End a key; False if it was ended already or is unknown. Raises StoreError."""
        statement = (
            update(ApiKey)
            .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
            .values(revoked_at=now)
            .returning(ApiKey.id)
        )
        async with self._database.write() as session:
            ended = (await session.scalars(statement)).one_or_none() is not None
            if ended:
                insert_activity(session, audit)
            return ended
