"""Changes of users that are decided over what is stored at that moment, and the list of users. It must not know roles.

An edit locks whoever acts, whoever is changed, and those whose number matters; a pure function decides; the change, its
line in the log and the end of sessions are one transaction. Of two who edit one user, the second decides over what the
first has left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.store.activity import insert_activity
from tidewire.store.database import Database
from tidewire.store.models import Session, User
from tidewire.store.records import ActivityEntry, UserRecord
from tidewire.store.rows import user_record
from tidewire.store.sessions import revoke_all
from tidewire.store.users import username_key

SortKey = Literal["username", "role", "state", "created_at", "password_changed_at"]


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to be stored of a user. ``values``: by column; ``end_sessions``: every login ends."""

    audit: ActivityEntry
    values: Mapping[str, Any] = field(default_factory=dict)
    end_sessions: bool = False


# (who acts, who is changed, everybody in the guarded role who is not disabled) -> what to store.
Decide = Callable[[UserRecord, UserRecord, Sequence[UserRecord]], Edit]


@dataclass(frozen=True, slots=True)
class UserQuery:
    """A page of the list.

    Attributes:
        text: Part of the name in any case, or the number.
        roles: In ascending order, for sorting; ``role`` keeps one of them.
        after: The ``after`` of the page before.
        keep: Numbers of users wanted beside the page.
    """

    roles: tuple[str, ...]
    text: str = ""
    role: str = ""
    disabled: bool | None = None
    sort: SortKey = "username"
    descending: bool = False
    limit: int = 50
    after: tuple[str | float | int, int] | None = None
    keep: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedUser:
    """A user in the list; ``logins``: sessions that have not ended, ``last_seen``: when one of them was used last."""

    user: UserRecord
    logins: int
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class UserPage:
    """A page; ``after`` asks for the next one, None: this was the last. ``kept`` are not in ``rows``."""

    rows: list[ListedUser]
    kept: list[ListedUser]
    matching: int
    after: tuple[str | float | int, int] | None


class UserEdits:
    """See the module's text.

    Args:
        guarded_role: Everybody in it who is not disabled is handed to ``decide``.
    """

    def __init__(self, database: Database, guarded_role: str) -> None:
        self._database = database
        self._guarded_role = guarded_role

    async def edit(
        self, user_id: int, actor_id: int, decide: Decide, now: float
    ) -> tuple[UserRecord, list[str]] | None:
        """Change a user; return the user after it and the sessions that ended. None if one of the two is unknown.

        Args:
            decide: Pure; may be called more than once. What it raises is raised here, and nothing is stored.

        Raises:
            StoreError: Nothing is stored, unless the code is ``outcome_unknown``.
        """
        guarded = and_(User.role == self._guarded_role, User.disabled.is_(False))
        query = select(User).where(or_(User.id.in_((user_id, actor_id)), guarded)).order_by(User.id).with_for_update()

        async def work(session: AsyncSession) -> tuple[UserRecord, list[str]] | None:
            found = {row.id: row for row in await session.scalars(query)}
            if user_id not in found or actor_id not in found:
                return None
            records = {number: user_record(row) for number, row in found.items()}
            keepers = [each for each in records.values() if each.role == self._guarded_role and not each.disabled]
            edit = decide(records[actor_id], records[user_id], keepers)
            if edit.values:
                change = update(User).where(User.id == user_id).values(**edit.values, version=User.version + 1)
                await session.execute(change)
            insert_activity(session, edit.audit)
            ended = await revoke_all(session, user_id, now) if edit.end_sessions else []
            await session.refresh(found[user_id])
            return user_record(found[user_id]), ended

        return await self._database.transact(work)

    async def page(self, wanted: UserQuery, now: float) -> UserPage:
        """Return a page of the list. Raises StoreError."""
        conditions = _matching(wanted)
        key = _sort_key(wanted)
        query = select(User, key.label("sorted")).where(*conditions)
        if wanted.after is not None:
            value, number = wanted.after
            beyond = key < value if wanted.descending else key > value
            later = User.id < number if wanted.descending else User.id > number
            query = query.where(or_(beyond, and_(key == value, later)))
        order = (key.desc(), User.id.desc()) if wanted.descending else (key, User.id)
        async with self._database.read() as session:
            matching = await session.scalar(select(func.count()).select_from(User).where(*conditions))
            found = (await session.execute(query.order_by(*order).limit(wanted.limit + 1))).all()
            shown = [user_record(row[0]) for row in found[: wanted.limit]]
            numbers = {user.id for user in shown}
            missing = [number for number in wanted.keep if number not in numbers]
            kept = [user_record(row) for row in await session.scalars(select(User).where(User.id.in_(missing)))]
            logins = await _logins(session, [user.id for user in (*shown, *kept)], now)
        last = found[wanted.limit - 1] if len(found) > wanted.limit else None
        return UserPage(
            rows=[_listed(user, logins) for user in shown],
            kept=[_listed(user, logins) for user in kept],
            matching=matching or 0,
            after=None if last is None else (last.sorted, last[0].id),
        )

    async def one(self, user_id: int, now: float) -> ListedUser | None:
        """Return one user as in the list. Raises StoreError."""
        async with self._database.read() as session:
            row = await session.get(User, user_id)
            return None if row is None else _listed(user_record(row), await _logins(session, [user_id], now))


_Logins = Mapping[int, tuple[int, float | None]]


async def _logins(session: AsyncSession, user_ids: Collection[int], now: float) -> _Logins:
    query = (
        select(Session.user_id, func.count(), func.max(Session.last_seen, type_=Session.last_seen.type))
        .where(Session.user_id.in_(user_ids), Session.revoked_at.is_(None), Session.expires_at > now)
        .group_by(Session.user_id)
    )
    return {row[0]: (row[1], row[2]) for row in await session.execute(query)}


def _listed(user: UserRecord, logins: _Logins) -> ListedUser:
    count, last_seen = logins.get(user.id, (0, None))
    return ListedUser(user, count, last_seen)


def _matching(wanted: UserQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.role:
        found.append(User.role == wanted.role)
    if wanted.disabled is not None:
        found.append(User.disabled.is_(wanted.disabled))
    if wanted.text.strip():
        text = username_key(wanted.text.strip())
        named = User.username_key.contains(text, autoescape=True)
        # Sixteen digits are more than there are users.
        numbered = text.isascii() and text.isdecimal() and len(text) < 16
        found.append(or_(named, User.id == int(text)) if numbered else named)
    return found


def _sort_key(wanted: UserQuery) -> ColumnElement[Any]:
    if wanted.sort == "role":
        return case({role: rank for rank, role in enumerate(wanted.roles)}, value=User.role, else_=-1)
    if wanted.sort == "state":
        return case((User.disabled.is_(True), 1), else_=0)
    if wanted.sort == "created_at":
        return User.created_at.expression
    return User.password_changed_at.expression if wanted.sort == "password_changed_at" else User.username_key.expression
