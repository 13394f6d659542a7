"""Queries over users. It must not know roles, password rules or hashes; it stores what it is given.

Names are unique by their folded form (NFKC, then case folding), because SQLite's own lower() knows only ASCII.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.core.errors import Conflict
from tidewire.store.activity import insert_activity
from tidewire.store.database import Database
from tidewire.store.models import User
from tidewire.store.records import ActivityEntry, UserRecord
from tidewire.store.rows import affected, user_record
from tidewire.store.sessions import revoke_all


def username_key(username: str) -> str:
    """Return the form in which two spellings of one name are equal."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


class Users:
    """The table ``users``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        username: str,
        password_hash: str,
        role: str,
        now: float,
        audit: ActivityEntry | None = None,
        *,
        disabled: bool = False,
        grants: Iterable[str] = (),
        denials: Iterable[str] = (),
        must_change_password: bool = False,
    ) -> UserRecord:
        """Add a user and the audit row in one transaction. Raises Conflict if the name is taken, StoreError."""
        row = User(
            username=username,
            username_key=username_key(username),
            password_hash=password_hash,
            role=role,
            disabled=disabled,
            grants=sorted(grants),
            denials=sorted(denials),
            created_at=now,
            password_changed_at=now,
            must_change_password=must_change_password,
            version=1,
        )
        async with self._database.write() as session:
            session.add(row)
            try:
                await session.flush()
            except IntegrityError as exc:
                raise Conflict(
                    f"The username {username} is taken (upper and lower case count as the same).",
                    required_action="Choose another username, or change the existing user's password.",
                    will_not="Tidewire will not overwrite a user.",
                    code="username_taken",
                ) from exc
            insert_activity(session, audit)
            return user_record(row)

    async def by_name(self, username: str) -> UserRecord | None:
        """Return the user of that name in any case. Raises StoreError."""
        async with self._database.read() as session:
            row = await session.scalar(select(User).where(User.username_key == username_key(username)))
            return None if row is None else user_record(row)

    async def by_id(self, user_id: int) -> UserRecord | None:
        """Return the user with that id. Raises StoreError."""
        async with self._database.read() as session:
            row = await session.get(User, user_id)
            return None if row is None else user_record(row)

    async def page(self, *, limit: int = 100, after_id: int = 0) -> list[UserRecord]:
        """Return users in order of id, those after ``after_id``. Raises StoreError."""
        query = select(User).where(User.id > after_id).order_by(User.id).limit(limit)
        async with self._database.read() as session:
            return [user_record(row) for row in await session.scalars(query)]

    async def count(self) -> int:
        """Return how many users there are. Raises StoreError."""
        async with self._database.read() as session:
            return (await session.scalar(select(func.count()).select_from(User))) or 0

    async def rehash(self, user_id: int, *, old_hash: str, new_hash: str) -> bool:
        """Replace a hash of the same password; False if the password was changed meanwhile. Raises StoreError."""
        statement = (
            update(User)
            .where(User.id == user_id, User.password_hash == old_hash)
            .values(password_hash=new_hash)
            .returning(User.id)
        )
        async with self._database.write() as session:
            return (await session.scalars(statement)).one_or_none() is not None

    async def set_password(
        self,
        user_id: int,
        password_hash: str,
        now: float,
        audit: ActivityEntry | None = None,
        *,
        must_change: bool = False,
        instead_of: str | None = None,
    ) -> list[str]:
        """Set the hash and end the user's sessions in one transaction; return their ids.

        Args:
            must_change: Whether the user must choose another one before anything else.
            instead_of: The hash that was there when it was decided; None: whatever is there.

        Raises:
            Conflict: Another hash is there by now; nothing was changed.
            StoreError: The database failed.
        """
        where = [User.id == user_id, *([] if instead_of is None else [User.password_hash == instead_of])]
        statement = (
            update(User)
            .where(*where)
            .values(
                password_hash=password_hash,
                password_changed_at=now,
                must_change_password=must_change,
                version=User.version + 1,
            )
        )

        async def work(session: AsyncSession) -> list[str]:
            if not affected(await session.execute(statement)) and instead_of is not None:
                raise Conflict(
                    "The password has been changed by somebody else at the same moment.",
                    required_action="Log in with the password as it is now.",
                    will_not="Tidewire will not overwrite the other one.",
                )
            insert_activity(session, audit)
            return await revoke_all(session, user_id, now)

        return await self._database.transact(work)

    async def change(
        self,
        user_id: int,
        now: float,
        *,
        role: str | None = None,
        disabled: bool | None = None,
        grants: Iterable[str] | None = None,
        denials: Iterable[str] | None = None,
        audit: ActivityEntry | None = None,
    ) -> list[str]:
        """Change what is given, in one transaction; return the sessions that disabling ended. Raises StoreError."""
        values: Mapping[str, Any] = {
            "role": role,
            "disabled": disabled,
            "grants": None if grants is None else sorted(grants),
            "denials": None if denials is None else sorted(denials),
        }
        changed = {key: value for key, value in values.items() if value is not None}

        async def work(session: AsyncSession) -> list[str]:
            if changed:
                await session.execute(
                    update(User).where(User.id == user_id).values(**changed, version=User.version + 1)
                )
            insert_activity(session, audit)
            return await revoke_all(session, user_id, now) if disabled else []

        return await self._database.transact(work)
