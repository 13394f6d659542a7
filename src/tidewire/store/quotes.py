"""Queries over quotes and their changes. It must not know what a field may contain or who may change it.

A change is one short transaction: the quote's row is locked, a pure function decides, quote and changes are written
together. The same operation of the same author is stored once, whoever sends it again and on whichever node.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, insert, literal_column, or_, select, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.core.clock import SystemClock
from tidewire.core.errors import Conflict, NotFound, RequestError
from tidewire.store.database import Database
from tidewire.store.grouped import Grouped
from tidewire.store.models import Base, NullableJson
from tidewire.store.quote_group import ADDED, UPDATED, Decide, IndexOf, QuoteGroup, Wish
from tidewire.store.quote_records import Change, Decision, Outcome, Quote, QuoteFilter, QuotePage, Span, unknown_quote
from tidewire.store.quote_rows import change_of, columns_of, quote_of, rows_of

# A further step of a transaction that changes a quote; made by other queries.
Also = Callable[[AsyncSession], Awaitable[None]]

_QUOTES, _CHANGES = Base.metadata.tables["quotes"], Base.metadata.tables["quote_changes"]
# Words of a search beyond this find nothing more.
SEARCH_WORDS = 8
NUMBER_MIN_CHARS = 6
# Spelt out: SQLite uses an index of a part of the rows only if it can see that they are those.
_IS_STATUS = _CHANGES.c.field == literal_column("'status'")


# Made once: building a statement costs more than running it.
_OF_OPERATION = and_(
    _CHANGES.c.quote_id == bindparam("quote"),
    _CHANGES.c.actor_id == bindparam("actor"),
    _CHANGES.c.op_id == bindparam("operation"),
)
# The quote's row, locked on Postgres, and whether the operation is stored; one round trip.
_LOCKED = (
    select(_QUOTES, select(_CHANGES.c.id).where(_OF_OPERATION).exists().label("stored"))
    .where(_QUOTES.c.id == bindparam("quote"))
    .with_for_update(of=_QUOTES)
)
_DONE = select(_CHANGES).where(_OF_OPERATION).order_by(_CHANGES.c.version)
_READ = select(_QUOTES).where(_QUOTES.c.id == bindparam("quote"))


class _Stored(Exception):
    """The same operation was stored by somebody else in the meantime."""


class Quotes:
    """The tables ``quotes`` and ``quote_changes``.

    Args:
        index_of: What of a quote its list is searched and filtered by.
    """

    def __init__(self, database: Database, index_of: IndexOf) -> None:
        self._database = database
        self._index_of = index_of
        group = QuoteGroup(database, index_of)
        self._together = Grouped(group.write, SystemClock(), wait_s=database.bulkhead.wait_s)

    async def stop(self) -> None:
        """Write what has been asked for, and take no more edits. Idempotent."""
        await self._together.stop()

    def statistics(self) -> dict[str, int]:
        """Return counters since start: as ``Grouped.counts``."""
        return self._together.counts

    # ---- writing

    async def add(self, decision: Decision) -> Outcome:
        """Store a new quote; if one with its number is there already, return that one as ``repeated``.

        Raises:
            StoreError: It is not stored, unless the code is ``outcome_unknown``.
        """
        quote = decision.quote

        async def work(session: AsyncSession) -> None:
            try:
                await session.execute(insert(_QUOTES).values(id=quote.id, **columns_of(quote, self._index_of(quote))))
            except IntegrityError as exc:
                raise _Stored from exc
            await session.execute(ADDED, rows_of(quote.id, decision.changes))

        try:
            await self._database.transact(work)
        except _Stored:
            return Outcome(await self.get(quote.id), await self.changes(quote.id), repeated=True)
        return Outcome(quote, decision.changes)

    async def change(
        self, quote_id: str, decide: Decide, *, actor_id: int | None, op_id: str | None, also: Also | None = None
    ) -> Outcome:
        """Store what ``decide`` makes of the quote, together with what others want in the same moment.

        Args:
            decide: Pure; may be called more than once. What it raises is raised here, and nothing is stored.
            op_id: Names the operation of this actor; if it is stored already, that is the outcome.
            also: Done in the same transaction if the operation is not stored already; what it raises is raised here,
                and nothing is stored.

        Raises:
            NotFound: There is no such quote.
            StoreError: Nothing is stored, unless the code is ``outcome_unknown``: the same ``op_id`` finds that out.
        """
        if also is None:
            outcome = await self._together.put(Wish(quote_id, decide, actor_id, op_id))
            if outcome is not None:
                return outcome
        return await self._change_alone(quote_id, decide, actor_id, op_id, also)

    async def _change_alone(
        self, quote_id: str, decide: Decide, actor_id: int | None, op_id: str | None, also: Also | None
    ) -> Outcome:
        async def work(session: AsyncSession) -> Outcome | None:
            operation = {"quote": quote_id, "actor": actor_id, "operation": op_id}
            row = (await session.execute(_LOCKED, operation)).one_or_none()
            if row is None:
                raise unknown_quote(quote_id)
            if row.stored:
                raise _Stored
            decision = decide(quote_of(row))
            if also is not None:
                await also(session)
            if decision.changes:
                await self._write(session, decision)
            return Outcome(decision.quote, decision.changes)

        try:
            outcome = await self._database.transact(work)
        except (_Stored, RequestError) as exc:
            # An edit that was stored and is sent again no longer fits the revision; only the changes can tell.
            known = await self._stored(quote_id, actor_id, op_id)
            if known is None:
                if isinstance(exc, _Stored):
                    raise _vanished() from exc
                raise
            return known
        assert outcome is not None  # noqa: S101 - work returns one
        return outcome

    async def _write(self, session: AsyncSession, decision: Decision) -> None:
        quote = decision.quote
        try:
            await session.execute(UPDATED, {"quote": quote.id, **columns_of(quote, self._index_of(quote))})
            await session.execute(ADDED, rows_of(quote.id, decision.changes))
        except IntegrityError as exc:
            raise _Stored from exc

    async def _stored(self, quote_id: str, actor_id: int | None, op_id: str | None) -> Outcome | None:
        if op_id is None:
            return None
        operation = {"quote": quote_id, "actor": actor_id, "operation": op_id}
        async with self._database.read() as session:
            changes = [change_of(row) for row in await session.execute(_DONE, operation)]
        return Outcome(await self.get(quote_id), changes, repeated=True) if changes else None

    # ---- reading

    async def get(self, quote_id: str) -> Quote:
        """Return a quote. Raises NotFound, StoreError."""
        async with self._database.read() as session:
            row = (await session.execute(_READ, {"quote": quote_id})).one_or_none()
        if row is None:
            raise unknown_quote(quote_id)
        return quote_of(row)

    async def changes(self, quote_id: str, *, after: int = 0) -> list[Change]:
        """Return every change above version ``after``, in order. Raises StoreError."""
        query = select(_CHANGES).where(_CHANGES.c.quote_id == quote_id, _CHANGES.c.version > after)
        async with self._database.read() as session:
            return [change_of(row) for row in await session.execute(query.order_by(_CHANGES.c.version))]

    async def history(self, quote_id: str, *, limit: int, before: int | None = None) -> list[Change]:
        """Return the newest changes below version ``before``, newest first. Raises StoreError."""
        query = select(_CHANGES).where(_CHANGES.c.quote_id == quote_id)
        if before is not None:
            query = query.where(_CHANGES.c.version < before)
        async with self._database.read() as session:
            rows = await session.execute(query.order_by(_CHANGES.c.version.desc()).limit(limit))
            return [change_of(row) for row in rows]

    async def one_change(self, quote_id: str, version: int) -> Change:
        """Return the change that made a version. Raises NotFound, StoreError."""
        query = select(_CHANGES).where(_CHANGES.c.quote_id == quote_id, _CHANGES.c.version == version)
        async with self._database.read() as session:
            row = (await session.execute(query)).one_or_none()
        if row is None:
            raise NotFound(
                f"The quote has no change with version {version}.",
                required_action="Take a version from its list of changes.",
                will_not="Tidewire will not guess which change was meant.",
            )
        return change_of(row)

    async def page(self, wanted: QuoteFilter, *, limit: int, after: tuple[float, str] | None = None) -> QuotePage:
        """Return a part of the list, newest change first. Raises StoreError.

        Args:
            after: The ``after`` of the part before.
        """
        query = select(_QUOTES).where(*_matching(wanted), *_any_of(_QUOTES.c.status, wanted.statuses))
        if after is not None:
            at, quote_id = after
            older = and_(_QUOTES.c.updated_at == at, _QUOTES.c.id < quote_id)
            query = query.where(or_(_QUOTES.c.updated_at < at, older))
        query = query.order_by(_QUOTES.c.updated_at.desc(), _QUOTES.c.id.desc()).limit(limit + 1)
        async with self._database.read() as session:
            found = [quote_of(row) for row in await session.execute(query)]
        shown = found[:limit]
        return QuotePage(shown, (shown[-1].updated_at, shown[-1].id) if len(found) > limit else None)

    async def counts(self, wanted: QuoteFilter) -> dict[str, int]:
        """Return status -> how many quotes match all of the filter but the statuses. Raises StoreError."""
        query = select(_QUOTES.c.status, func.count()).where(*_matching(wanted)).group_by(_QUOTES.c.status)
        async with self._database.read() as session:
            return {row[0]: row[1] for row in await session.execute(query)}

    async def due(self, statuses: Sequence[str], now: float, limit: int) -> list[str]:
        """Return the numbers of quotes whose time is over, the longest over first. Raises StoreError."""
        query = select(_QUOTES.c.id).where(_QUOTES.c.status.in_(statuses), _QUOTES.c.expires_at <= now)
        async with self._database.read() as session:
            return list(await session.scalars(query.order_by(_QUOTES.c.expires_at).limit(limit)))

    async def versions(self, quote_ids: Sequence[str], since: float) -> Mapping[str, int]:
        """Return number -> version of those that have been changed after they were made and ``since``.

        Raises:
            StoreError: The database failed.
        """
        changed = and_(_QUOTES.c.updated_at > since, _QUOTES.c.updated_at > _QUOTES.c.created_at)
        query = select(_QUOTES.c.id, _QUOTES.c.version).where(_QUOTES.c.id.in_(quote_ids), changed)
        async with self._database.read() as session:
            return {row.id: row.version for row in await session.execute(query)}


def _matching(wanted: QuoteFilter) -> list[ColumnElement[bool]]:
    words = wanted.search.casefold().split()[:SEARCH_WORDS]
    return [
        *(_has(word) for word in words),
        *_any_of(_QUOTES.c.state, wanted.states),
        *_any_of(_QUOTES.c.product, wanted.products),
        *_within(_QUOTES.c.created_at, wanted.created),
        *_became("quoted", wanted.quoted),
        *_became("bound", wanted.bound),
    ]


def _within(moment: Any, span: Span) -> list[ColumnElement[bool]]:
    begin = [] if span.begin is None else [moment >= span.begin]
    return begin if span.before is None else [*begin, moment < span.before]


def _became(status: str, span: Span) -> list[ColumnElement[bool]]:
    """Those with a change to that status in this time; the few changes of it are found by their own index."""
    if not span:
        return []
    is_that = (_IS_STATUS, _CHANGES.c.after == type_coerce(status, NullableJson))
    return [_QUOTES.c.id.in_(select(_CHANGES.c.quote_id).where(*is_that, *_within(_CHANGES.c.at, span)))]


def _has(word: str) -> ColumnElement[bool]:
    found = _QUOTES.c.search.contains(word, autoescape=True)
    # A number is found by its beginning; a digit or two are nobody's number.
    numbered = len(word) >= NUMBER_MIN_CHARS
    return or_(found, _QUOTES.c.id.startswith(word, autoescape=True)) if numbered else found


def _any_of(column: Any, values: Sequence[str]) -> list[ColumnElement[bool]]:
    return [or_(*(column == value for value in values))] if values else []


def _vanished() -> Conflict:
    return Conflict(
        "Another change of the quote came in the same moment.",
        required_action="Send it again with the same op_id.",
        will_not="Tidewire will not store a part of your change.",
        code="storage_busy",
    )
