"""Queries over the newest calculation of each quote. It must not know how a premium comes about or who is told.

Each quote has one row. Beginning takes it, whoever has it, on whichever node: that is how a newer calculation
supersedes a running one. Every end names the calculation and needs it to be running, so that of two nodes one succeeds.
What a request with a key began is noted beside it, in the same transaction, and outlives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from tidewire.core.errors import Conflict
from tidewire.store.calculation_record import (
    Begun,
    CalculationRecord,
    CalculationRequest,
    CalculationState,
    NewCalculation,
    name_of,
)
from tidewire.store.database import Database
from tidewire.store.models import Base
from tidewire.store.quote_records import unknown_quote
from tidewire.store.quotes import Also
from tidewire.store.records import JsonValue
from tidewire.store.rows import affected

_TABLE, _QUOTES = Base.metadata.tables["quote_calculations"], Base.metadata.tables["quotes"]
_REQUESTS, _CHANGES = Base.metadata.tables["quote_calculation_requests"], Base.metadata.tables["quote_changes"]
# What of a calculation is noted with its request.
_NOTED = ("quote_id", "serial", "calculation_id", "based_on_version", "actor_id", "actor", "node", "started_at",
          "deadline_at")  # fmt: skip


class Calculations:
    """The table ``quote_calculations``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, quote_id: str, new: NewCalculation, request: CalculationRequest | None = None) -> Begun:
        """Begin a calculation, unless the same request has begun one before.

        Raises:
            NotFound: There is no such quote.
            Conflict: Another request had the same key.
            StoreError: Nothing has begun, unless the code is ``outcome_unknown``; the same request finds that out.
        """

        def work(connection: Connection) -> Begun:
            # The quote's row is locked first, so that of two first calculations, and of two requests with the same key,
            # one finds the other's row.
            locked = select(_QUOTES.c.version).where(_QUOTES.c.id == quote_id).with_for_update()
            version = connection.scalar(locked)
            if version is None:
                raise unknown_quote(quote_id)
            done = None if request is None else _begun_before(connection, quote_id, request)
            if done is not None:
                return Begun(done, repeated=True)
            begun = _begin(connection, quote_id, version, new)
            if request is not None:
                noted = {name: getattr(begun.record, name) for name in _NOTED}
                connection.execute(insert(_REQUESTS).values({**noted, **asdict(request)}))
            return begun

        return await self._database.write_at_once(work)

    async def begun_by(self, quote_id: str, request: CalculationRequest) -> CalculationRecord | None:
        """Return what a request began, as it was then; None if it has not been seen. Raises Conflict, StoreError."""
        async with self._database.read() as session:
            return await session.run_sync(lambda inside: _begun_before(inside.connection(), quote_id, request))

    async def end(
        self,
        record: CalculationRecord,
        state: CalculationState,
        at: float,
        error: Mapping[str, JsonValue] | None = None,
    ) -> bool:
        """End a calculation otherwise than well; False if it has ended already or is superseded.

        Raises:
            StoreError: It has not ended, unless the code is ``outcome_unknown``.
        """
        values = {"state": state, "ended_at": at, "error": None if error is None else dict(error)}
        return await self._update(_running(record), values)

    def done(self, record: CalculationRecord, at: float) -> Also:
        """Return what ends a calculation well inside the transaction that stores its premium.

        It raises Conflict if the calculation has ended or is superseded; then nothing of the transaction is stored.
        """
        statement = update(_TABLE).where(_running(record)).values(state=CalculationState.DONE, ended_at=at)

        async def work(session: AsyncSession) -> None:
            if not affected(await session.execute(statement)):
                raise Conflict(
                    f"The calculation {record.calculation_id} is over, or a newer one has begun.",
                    required_action="Use the newer one's premium, or calculate again.",
                    will_not="Tidewire will not store this premium.",
                    code="superseded",
                )

        return work

    async def note_told(self, record: CalculationRecord) -> None:
        """Note that a calculation's end has been published. Raises StoreError."""
        await self._update(_is(record), {"told": True})

    async def get(self, quote_id: str) -> CalculationRecord | None:
        """Return the newest calculation of a quote, if there ever was one. Raises StoreError."""
        async with self._database.read() as session:
            row = (await session.execute(select(_TABLE).where(_TABLE.c.quote_id == quote_id))).one_or_none()
        return None if row is None else _record(row)

    async def unfinished(self, now: float, limit: int) -> Sequence[CalculationRecord]:
        """Return those past their deadline of which nobody has been told how they ended. Raises StoreError."""
        query = select(_TABLE).where(_TABLE.c.told.is_(False), _TABLE.c.deadline_at <= now)
        async with self._database.read() as session:
            rows = await session.execute(query.order_by(_TABLE.c.deadline_at).limit(limit))
            return [_record(row) for row in rows]

    async def _update(self, which: ColumnElement[bool], values: Mapping[str, Any]) -> bool:
        statement = update(_TABLE).where(which).values(values)
        return await self._database.write_at_once(lambda connection: affected(connection.execute(statement))) > 0


def _begin(connection: Connection, quote_id: str, version: int, new: NewCalculation) -> Begun:
    found = connection.execute(select(_TABLE).where(_TABLE.c.quote_id == quote_id)).one_or_none()
    before = None if found is None else _record(found)
    serial = 1 if before is None else before.serial + 1
    record = CalculationRecord(
        quote_id=quote_id,
        serial=serial,
        calculation_id=name_of(serial, new.token),
        state=CalculationState.RUNNING,
        based_on_version=version,
        actor_id=new.actor_id,
        actor=new.actor,
        node=new.node,
        started_at=new.started_at,
        deadline_at=new.deadline_at,
    )
    if before is None:
        connection.execute(insert(_TABLE).values(asdict(record)))
    else:
        connection.execute(update(_TABLE).where(_TABLE.c.quote_id == quote_id).values(asdict(record)))
    running = before is not None and before.state == CalculationState.RUNNING
    return Begun(record, before if running else None)


def _begun_before(connection: Connection, quote_id: str, request: CalculationRequest) -> CalculationRecord | None:
    found = connection.execute(select(_REQUESTS).where(_of(_REQUESTS, quote_id, request))).one_or_none()
    if found is None:
        # An edit or a binding may have had the key.
        if connection.scalar(select(_CHANGES.c.id).where(_of(_CHANGES, quote_id, request)).limit(1)) is not None:
            raise _reused()
        return None
    if found.digest != request.digest:
        raise _reused()
    noted = {name: getattr(found, name) for name in _NOTED}
    return CalculationRecord(**noted, state=CalculationState.RUNNING)


def _of(table: Table, quote_id: str, request: CalculationRequest) -> ColumnElement[bool]:
    return and_(table.c.quote_id == quote_id, table.c.actor_id == request.actor_id, table.c.op_id == request.op_id)


def _running(record: CalculationRecord) -> ColumnElement[bool]:
    return and_(_is(record), _TABLE.c.state == CalculationState.RUNNING)


def _is(record: CalculationRecord) -> ColumnElement[bool]:
    return and_(_TABLE.c.quote_id == record.quote_id, _TABLE.c.calculation_id == record.calculation_id)


def _record(row: Row[Any]) -> CalculationRecord:
    return CalculationRecord(**{**row._asdict(), "state": CalculationState(row.state)})


def _reused() -> Conflict:
    return Conflict(
        "This Idempotency-Key was used for something else before.",
        required_action="Use a new key for each operation, and the same one only to repeat it.",
        will_not="Tidewire will not guess which of the two was meant; this one was not done.",
        code="op_id_reused",
    )
