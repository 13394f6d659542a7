"""Queries over the record of client connections. It must not know sockets or when rows are written."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tidewire.store.database import Database
from tidewire.store.models import User, WebsocketConnection
from tidewire.store.records import ConnectionRecord
from tidewire.store.rows import affected, connection_record

# Most rows that one read returns, whatever is asked for.
READ_MAX = 500
# Rows deleted in one transaction.
PURGE_STEP = 5_000
_CHANGING = (
    "session_id",
    "disconnected_at",
    "last_activity",
    "close_code",
    "messages_in",
    "messages_out",
    "bytes_in",
    "bytes_out",
)


@functools.cache
def _statements(kind: str) -> tuple[Executable, Executable]:
    """Return the insert and the update of many rows, made once: each is a hundred objects in cycles."""
    # A user who was deleted meanwhile must not cost the whole batch, so the id is looked up as it is written.
    user = select(User.id).where(User.id == bindparam("user")).scalar_subquery()
    table = WebsocketConnection.__table__
    values: dict[str, Any] = {name: bindparam(name) for name in (*_FIXED, *_CHANGING)}
    # A row that is there already came from a batch whose end nobody saw; it is brought up to date.
    insert = (sqlite if kind == "sqlite" else postgresql).insert(WebsocketConnection)
    adding = insert.values(user_id=user, **values).on_conflict_do_update(
        index_elements=["connection_id"], set_={name: insert.excluded[name] for name in ("user_id", *_CHANGING)}
    )
    changing = (
        update(WebsocketConnection)
        .where(table.c.connection_id == bindparam("which"))
        .values(user_id=user, **{name: bindparam(name) for name in _CHANGING})
    )
    return adding, changing


class Connections:
    """The table ``websocket_connections``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, opened: Sequence[ConnectionRecord], changed: Sequence[ConnectionRecord]) -> None:
        """Add rows and update others, in one transaction. Writing rows twice changes nothing. Raises StoreError.

        Args:
            changed: Rows that are there already; of them only what changes in a connection's life is written.
        """
        adding, changing = _statements(self._database.kind)

        def work(connection: Connection) -> None:
            if opened:
                connection.execute(adding, [_row(each) for each in opened])
            if changed:
                connection.execute(changing, [_change(each) for each in changed])

        await self._database.write_at_once(work)

    async def end_orphans(self, node: str) -> int:
        """Note the end of rows that a node left open when it died, at their last sign of life; return how many."""
        statement = (
            update(WebsocketConnection)
            .where(WebsocketConnection.node == node, WebsocketConnection.disconnected_at.is_(None))
            .values(disconnected_at=WebsocketConnection.last_activity)
            .execution_options(synchronize_session=False)
        )
        return affected(await self._database.transact(lambda session: session.execute(statement)))

    async def purge(self, before: float) -> int:
        """Delete rows of connections that ended before the given time; return how many. Raises StoreError.

        In steps of PURGE_STEP rows, so that no step comes near the deadline however much there is.
        """
        old = select(WebsocketConnection.id).where(WebsocketConnection.disconnected_at < before).limit(PURGE_STEP)
        statement = (
            delete(WebsocketConnection)
            .where(WebsocketConnection.id.in_(old.scalar_subquery()))
            .execution_options(synchronize_session=False)
        )
        deleted = 0
        while True:
            step = affected(await self._database.transact(lambda session: session.execute(statement)))
            deleted += step
            if step < PURGE_STEP:
                return deleted

    async def recent(self, *, limit: int = 100, user_id: int | None = None) -> list[ConnectionRecord]:
        """Return the connections that began last, newest first. Raises StoreError."""
        query = (
            select(WebsocketConnection)
            .order_by(WebsocketConnection.connected_at.desc(), WebsocketConnection.id.desc())
            .limit(min(limit, READ_MAX))
        )
        if user_id is not None:
            query = query.where(WebsocketConnection.user_id == user_id)
        async with self._database.read() as session:
            return [connection_record(row) for row in await session.scalars(query)]

    async def of_id(self, connection_id: str) -> ConnectionRecord | None:
        """Return one, None if it was never written or has been purged. Raises StoreError."""
        query = select(WebsocketConnection).where(WebsocketConnection.connection_id == connection_id)
        async with self._database.read() as session:
            row = await session.scalar(query)
            return None if row is None else connection_record(row)

    async def count(self) -> int:
        """Return how many rows there are. Raises StoreError."""
        async with self._database.read() as session:
            return (await session.scalar(select(func.count()).select_from(WebsocketConnection))) or 0


_FIXED = ("connection_id", "node", "ip_address", "user_agent", "path", "protocol", "connected_at")
_WIDTH = {"node": 64, "session_id": 40, "ip_address": 64, "user_agent": 256, "path": 64, "protocol": 32}


def _row(record: ConnectionRecord) -> Mapping[str, Any]:
    row: dict[str, Any] = {name: getattr(record, name) for name in (*_FIXED, *_CHANGING)}
    for name, width in _WIDTH.items():
        if row[name] is not None:
            # Postgres refuses NUL and what is too long; a header may hold either.
            row[name] = "".join(char for char in row[name] if char.isprintable())[:width]
    return {**row, "user": record.user_id}


def _change(record: ConnectionRecord) -> Mapping[str, Any]:
    row = {name: getattr(record, name) for name in _CHANGING}
    return {**row, "which": record.connection_id, "user": record.user_id}
