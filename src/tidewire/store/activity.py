"""Queries over the admins' activity log: add a row, find rows, follow new ones. It must not know which actions exist.

Newest first means by time, then by number: numbers are given before a transaction ends, so that a row may be seen
after one with a higher number. Whoever follows the log must look back (``ids_after``).
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.store.database import Database
from tidewire.store.models import AdminActivityLog
from tidewire.store.records import ActivityEntry, ActivityRecord, JsonValue
from tidewire.store.rows import activity_record

# Most rows that one read returns, whatever is asked for.
READ_MAX = 500
# Words of a search beyond this find nothing more.
SEARCH_WORDS = 8
# What of a row is searched; the longest action names two hundred connections.
SEARCH_CHARS = 4_000
# What a transaction says of itself, see ``Database.on_commit``.
MARK = "activity"

_LOG = AdminActivityLog


@dataclass(frozen=True, slots=True)
class ActivityFilter:
    """Which rows are wanted; what is empty asks for nothing.

    Attributes:
        who: Name of who acted, in any case.
        action: A whole action (``user.login``), or the noun before the dot (``user``).
        target, ip: Exactly.
        since, until: From this moment on, and before that one.
        text: Words, each of which is somewhere in the row, in any case.
    """

    who: str = ""
    action: str = ""
    target: str = ""
    ip: str = ""
    since: float | None = None
    until: float | None = None
    text: str = ""


# A row's place in the list: its time and its number.
Place = tuple[float, int]


@dataclass(frozen=True, slots=True)
class ActivityPage:
    """A part of the list. ``after`` asks for the next one; None: this was the last."""

    rows: list[ActivityRecord]
    after: Place | None


def actor_key(actor: str) -> str:
    """Return the form in which two spellings of an actor's name are equal."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", actor).casefold())[:192]


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def insert_activity(session: AsyncSession, entry: ActivityEntry | None) -> None:
    """Add ``entry`` to the transaction of the change that it tells of; None adds nothing."""
    if entry is None:
        return
    actor, target, ip = _storable(entry.actor[:64]), _storable(entry.target[:255]), _storable(entry.ip[:64])
    details = {_storable(name): _plain(value) for name, value in entry.details.items()}
    written = json.dumps(details, ensure_ascii=False, sort_keys=True) if details else ""
    session.add(
        _LOG(
            at=entry.at,
            actor_id=entry.actor_id,
            actor=actor,
            action=entry.action,
            target=target,
            details=details,
            ip=ip,
            actor_key=actor_key(actor),
            search="\n".join(map(_folded, (actor, entry.action, target, ip, written)))[:SEARCH_CHARS],
        )
    )
    session.info[MARK] = True


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
        """Return the rows with the highest numbers first, at most ``limit`` (capped at 500). Raises StoreError.

        Args:
            before_id: Only rows with a lower number than this, for paging.
            action: Only rows of this action.
        """
        query = select(_LOG).order_by(_LOG.id.desc()).limit(min(limit, READ_MAX))
        if before_id is not None:
            query = query.where(_LOG.id < before_id)
        if action is not None:
            query = query.where(_LOG.action == action)
        async with self._database.read() as session:
            return [activity_record(row) for row in await session.scalars(query)]

    async def page(
        self, wanted: ActivityFilter, *, limit: int, after: Place | None = None, newest_id: int | None = None
    ) -> ActivityPage:
        """Return a part of the list, newest first. Raises StoreError.

        Args:
            after: The ``after`` of the part before.
            newest_id: Leave out rows with a higher number, so that a list that is read in parts comes to an end.
        """
        limit = min(limit, READ_MAX)
        query = select(_LOG).where(*_matching(wanted))
        if after is not None:
            at, row_id = after
            query = query.where(or_(_LOG.at < at, and_(_LOG.at == at, _LOG.id < row_id)))
        if newest_id is not None:
            query = query.where(_LOG.id <= newest_id)
        query = query.order_by(_LOG.at.desc(), _LOG.id.desc()).limit(limit + 1)
        async with self._database.read() as session:
            found = [activity_record(row) for row in await session.scalars(query)]
        shown = found[:limit]
        return ActivityPage(shown, (shown[-1].entry.at, shown[-1].id) if len(found) > limit else None)

    async def newest_id(self) -> int:
        """Return the highest number that can be seen; 0 if there is no row. Raises StoreError."""
        async with self._database.read() as session:
            return (await session.scalar(select(func.max(_LOG.id)))) or 0

    async def ids_after(self, row_id: int) -> list[int]:
        """Return the numbers above ``row_id`` that can be seen, ascending. Raises StoreError."""
        async with self._database.read() as session:
            return list(await session.scalars(select(_LOG.id).where(_LOG.id > row_id).order_by(_LOG.id)))

    async def rows(self, ids: Sequence[int]) -> list[ActivityRecord]:
        """Return the rows with these numbers (at most 500), oldest first. Raises StoreError."""
        query = select(_LOG).where(_LOG.id.in_(ids[:READ_MAX])).order_by(_LOG.at, _LOG.id)
        async with self._database.read() as session:
            return [activity_record(row) for row in await session.scalars(query)]

    async def matching(self, wanted: ActivityFilter, ids: Collection[int]) -> frozenset[int]:
        """Return which of the rows the filter shows; the same question as a page's. Raises StoreError."""
        query = select(_LOG.id).where(_LOG.id.in_(ids), *_matching(wanted))
        async with self._database.read() as session:
            return frozenset(await session.scalars(query))

    async def actions(self) -> list[str]:
        """Return every action that is in the log, in order. Raises StoreError.

        One step in the index for each, however many rows there are: neither database skips by itself in a DISTINCT.
        """
        found = select(func.min(_LOG.action).label("action")).cte("found", recursive=True)
        above = select(func.min(_LOG.action)).where(_LOG.action > literal_column("found.action"))
        found = found.union_all(select(above.scalar_subquery()).where(found.c.action.is_not(None)))
        query = select(found.c.action).where(found.c.action.is_not(None))
        async with self._database.read() as session:
            return sorted(await session.scalars(query))


def _matching(wanted: ActivityFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.who:
        found.append(_LOG.actor_key == actor_key(wanted.who))
    if wanted.action:
        whole = _LOG.action == wanted.action
        noun = _LOG.action.startswith(wanted.action + ".", autoescape=True)
        found.append(whole if "." in wanted.action else or_(whole, noun))
    if wanted.target:
        found.append(_LOG.target == wanted.target)
    if wanted.ip:
        found.append(_LOG.ip == wanted.ip)
    if wanted.since is not None:
        found.append(_LOG.at >= wanted.since)
    if wanted.until is not None:
        found.append(_LOG.at < wanted.until)
    words = _folded(wanted.text).split()[:SEARCH_WORDS]
    return [*found, *(_LOG.search.contains(word, autoescape=True) for word in words)]


def _storable(text: str) -> str:
    # Postgres refuses NUL; a line of the log must not fail for what somebody typed as a reason.
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, Mapping):
        return {_storable(name): _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
