"""Queries over universes, the named lists of tickers. It must not know files, feeds or what a ticker trades.

An import replaces all members of its key in one transaction: a reader sees the old list or the new one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from tidewire.core.errors import Conflict, InvalidRequest, NotFound
from tidewire.store.activity import insert_activity
from tidewire.store.database import Database
from tidewire.store.models import Universe, UniverseMember
from tidewire.store.records import ActivityEntry, UniverseChange, UniverseRecord

KEY_MAX = 128
SYMBOL_MAX = 32


class Universes:
    """The tables ``universes`` and ``universe_members``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(
        self, key: str, symbols: Sequence[str], now: float, *, source: str = "", audit: ActivityEntry | None = None
    ) -> UniverseChange:
        """Make ``symbols``, in this order, the members of ``key``; create the key if it is new.

        Args:
            source: Where the list came from, such as a file name; shown in lists.

        Raises:
            InvalidRequest: No symbols, an empty or over-long one, or one twice. Nothing was changed.
            Conflict: Another process created the same key in the same moment. Nothing was changed.
            StoreError: The database failed. Nothing was changed.
        """
        _check(key, symbols)
        async with self._database.write() as session:
            # Locked on Postgres, so that two imports of one key come one after the other.
            universe = await session.scalar(select(Universe).where(Universe.key == key).with_for_update())
            created = universe is None
            if universe is None:
                universe = Universe(key=key, source=source[:255], created_at=now, updated_at=now)
                session.add(universe)
                try:
                    await session.flush()
                except IntegrityError as exc:
                    raise Conflict(
                        f"The universe {key} was created by somebody else just now.",
                        required_action="Look at it, then import again if it is still wanted.",
                        will_not="Tidewire will not mix two imports; nothing was changed.",
                    ) from exc
            universe.source, universe.updated_at = source[:255], now
            of_key = UniverseMember.universe_id == universe.id
            before = set(await session.scalars(select(UniverseMember.symbol).where(of_key)))
            await session.execute(delete(UniverseMember).where(of_key))
            await session.execute(
                insert(UniverseMember),
                [
                    {"universe_id": universe.id, "symbol": symbol, "position": position}
                    for position, symbol in enumerate(symbols)
                ],
            )
            insert_activity(session, audit)
        after = set(symbols)
        return UniverseChange(key, created, len(after - before), len(before - after), len(after))

    async def list_all(self) -> list[UniverseRecord]:
        """Return every universe with its size, by key. Raises StoreError."""
        query = (
            select(Universe, func.count(UniverseMember.symbol))
            .outerjoin(UniverseMember, UniverseMember.universe_id == Universe.id)
            .group_by(Universe.id)
            .order_by(Universe.key)
        )
        async with self._database.read() as session:
            return [
                UniverseRecord(row.key, count, row.created_at, row.updated_at, row.source)
                for row, count in await session.execute(query)
            ]

    async def members(self, key: str) -> list[str]:
        """Return the symbols of ``key`` in the order of the import. Raises NotFound, StoreError."""
        query = (
            select(UniverseMember.symbol)
            .join(Universe, Universe.id == UniverseMember.universe_id)
            .where(Universe.key == key)
            .order_by(UniverseMember.position)
        )
        async with self._database.read() as session:
            symbols = list(await session.scalars(query))
        if not symbols:
            raise NotFound(
                f"There is no universe {key}.",
                required_action="See `tidewire universe list`, or run `tidewire universe import FILE --key KEY`.",
                will_not="Tidewire will not pick another universe.",
                code="unknown_universe",
            )
        return symbols

    async def remove(self, key: str, audit: ActivityEntry | None = None) -> bool:
        """Delete a universe with its members; False if there is none. Raises StoreError."""
        async with self._database.write() as session:
            found = await session.scalars(delete(Universe).where(Universe.key == key).returning(Universe.id))
            removed = found.one_or_none() is not None
            if removed:
                insert_activity(session, audit)
            return removed


def _check(key: str, symbols: Sequence[str]) -> None:
    nothing = "Tidewire will not import a part of the list; nothing was changed."
    if not key or len(key) > KEY_MAX:
        raise InvalidRequest(
            f"A universe key has 1 to {KEY_MAX} characters.", required_action="Choose another key.", will_not=nothing
        )
    if not symbols:
        raise InvalidRequest(
            f"The list for {key} is empty.", required_action="Import at least one symbol.", will_not=nothing
        )
    bad = [symbol for symbol in symbols if not symbol or len(symbol) > SYMBOL_MAX or not symbol.isprintable()]
    twice = [symbol for symbol, count in Counter(symbols).items() if count > 1]
    if bad or twice:
        raise InvalidRequest(
            f"The list for {key} has {len(bad)} unusable and {len(twice)} repeated symbols: "
            + ", ".join(repr(symbol) for symbol in (bad + twice)[:5])
            + ".",
            required_action=f"Name every symbol once, with 1 to {SYMBOL_MAX} printable characters.",
            will_not=nothing,
        )
