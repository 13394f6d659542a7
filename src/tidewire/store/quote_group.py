"""Changes of many quotes in one transaction: rows locked, each decided in memory, all written and committed together.

A change that cannot be decided here is left to be done alone: its row is locked by somebody else, its quote is missing,
or its operation may be stored already. So no group ever waits for a row, and none can deadlock with another node's.
It must not know what a field may contain, or who waits for the outcome.
Source: PostgreSQL manual, "SELECT", SKIP LOCKED; docs/decisions/0016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, insert, select, tuple_, update
from sqlalchemy.exc import DataError, IntegrityError

from tidewire.core.errors import RequestError
from tidewire.store.database import Database
from tidewire.store.grouped import Alone
from tidewire.store.models import Base
from tidewire.store.quote_records import Decision, Outcome, Quote, QuoteIndex
from tidewire.store.quote_rows import columns_of, quote_of, rows_of

Decide = Callable[[Quote], Decision]
IndexOf = Callable[[Quote], QuoteIndex]
_V = TypeVar("_V")

_QUOTES, _CHANGES = Base.metadata.tables["quotes"], Base.metadata.tables["quote_changes"]

# Made once: building a statement costs more than running it.
_LOCKED = (
    select(_QUOTES)
    .where(_QUOTES.c.id.in_(bindparam("quotes", expanding=True)))
    .with_for_update(of=_QUOTES, skip_locked=True)
)
_OPERATION = tuple_(_CHANGES.c.quote_id, _CHANGES.c.actor_id, _CHANGES.c.op_id)
# Asked after the rows are locked: nobody can store an operation of theirs from then on.
_STORED = select(*_OPERATION.clauses).where(_OPERATION.in_(bindparam("operations", expanding=True)))
UPDATED = (
    update(_QUOTES)
    .where(_QUOTES.c.id == bindparam("quote"))
    .values({column.name: bindparam(column.name) for column in _QUOTES.c if column.name != "id"})
)
ADDED = insert(_CHANGES)


@dataclass(frozen=True, slots=True)
class Wish:
    """One change that somebody wants made.

    Attributes:
        decide: Pure; may be called more than once, and in another thread.
        op_id: Names the operation of this actor.
    """

    quote_id: str
    decide: Decide
    actor_id: int | None
    op_id: str | None

    @property
    def operation(self) -> tuple[str, int | None, str | None]:
        """What is stored once."""
        return self.quote_id, self.actor_id, self.op_id


class QuoteGroup:
    """See the module's text."""

    def __init__(self, database: Database, index_of: IndexOf) -> None:
        self._database = database
        self._index_of = index_of

    async def write(self, wishes: Sequence[Wish]) -> list[Outcome | RequestError | None]:
        """Store what the wishes make of their quotes; return what became of each, None: it is to be done alone.

        Raises:
            Alone: Nothing is stored; one of them broke a rule of the database.
            StoreError: Nothing is stored, unless the code is ``outcome_unknown``.
        """
        return await self._database.write_at_once(lambda connection: self._work(connection, wishes))

    def _work(self, connection: Connection, wishes: Sequence[Wish]) -> list[Outcome | RequestError | None]:
        quotes = {row.id: quote_of(row) for row in connection.execute(_LOCKED, {"quotes": _ids(wishes)})}
        stored = self._stored(connection, wishes)
        changed: dict[str, Quote] = {}
        changes: list[dict[str, Any]] = []
        results = []
        for wish in wishes:
            result = _decided(wish, quotes.get(wish.quote_id), stored)
            if isinstance(result, Outcome) and result.changes:
                quotes[wish.quote_id] = changed[wish.quote_id] = result.quote
                changes += rows_of(wish.quote_id, result.changes)
                stored.add(wish.operation)
            results.append(result)
        if changed:
            updates = [{"quote": quote.id, **columns_of(quote, self._index_of(quote))} for quote in changed.values()]
            try:
                connection.execute(UPDATED, updates)
                connection.execute(ADDED, changes)
            except (IntegrityError, DataError) as exc:
                raise Alone from exc
        return results

    def _stored(self, connection: Connection, wishes: Sequence[Wish]) -> set[tuple[str, int | None, str | None]]:
        named = [wish.operation for wish in wishes if wish.actor_id is not None and wish.op_id is not None]
        if not named:
            return set()
        return {(row[0], row[1], row[2]) for row in connection.execute(_STORED, {"operations": _padded(named)})}


def _decided(
    wish: Wish, quote: Quote | None, stored: set[tuple[str, int | None, str | None]]
) -> Outcome | RequestError | None:
    if quote is None or (wish.op_id is not None and wish.operation in stored):
        return None
    try:
        decision = wish.decide(quote)
    except RequestError as exc:
        return exc
    return Outcome(decision.quote, decision.changes)


def _ids(wishes: Sequence[Wish]) -> list[str]:
    return _padded(list(dict.fromkeys(wish.quote_id for wish in wishes)))


def _padded(values: list[_V]) -> list[_V]:
    """Repeat the last value up to a power of two: a database prepares seven statements instead of sixty-four."""
    size = 1 << (len(values) - 1).bit_length()
    return values + values[-1:] * (size - len(values))
