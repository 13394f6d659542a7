"""Keeps the database and the book of alerts the same: writes what was found, reads what people have done.

It waits for the database, so that nobody who judges has to. While the database is away, alerts are told all the same
and written later; what cannot be kept until then is counted as lost. It must not know rules' meaning or who is told.
"""

from __future__ import annotations

import structlog

from tidewire.alerts.evaluator import Evaluator, Mode
from tidewire.core.clock import Clock
from tidewire.core.errors import NotFound, StoreError
from tidewire.core.throttle import Throttle
from tidewire.store.alerts import READ_MAX, Alerts

_log = structlog.get_logger(__name__)

KEEP_EVERY_S = 1.0
# What somebody changed is told; this is for what was not heard.
READ_EVERY_S = 15.0
# One transaction stays well below the deadline.
BATCH = 100
KEPT_DAYS = 90.0
PURGE_EVERY_S = 3_600.0
DAY_S = 86_400.0


class Keeper:
    """See the module's text."""

    def __init__(self, alerts: Alerts, evaluator: Evaluator, clock: Clock) -> None:
        self._alerts = alerts
        self._evaluator = evaluator
        self._clock = clock
        self._read_at: float | None = None
        self._untold = Throttle(every_s=300.0)
        self.failed = 0

    def changed(self) -> None:
        """Somebody has changed something: it is read in the next round."""
        self._read_at = None

    async def step(self) -> None:
        """Write and read, if there is something to do."""
        try:
            await self._step()
        except StoreError as error:
            self.failed += 1
            told = self._untold.admit(self._clock.monotonic())
            if told:
                waiting = len(self._evaluator.book.unwritten)
                _log.warning("alerts_unwritten", failed=told, waiting=waiting, **error.describe())

    async def _step(self) -> None:
        evaluator = self._evaluator
        if evaluator.mode is Mode.FOLLOWING:
            # What this node found in its own time is still to be told to the database.
            await self._write()
            return
        if evaluator.read_term != evaluator.term:
            # Nothing is written before it is known what is open already: the same alert would be there twice.
            self._read_at = None
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= READ_EVERY_S:
            self._read_at = now
            try:
                await self._read()
            except StoreError:
                self._read_at = None
                raise
            evaluator.show()
        await self._write()

    async def _read(self) -> None:
        evaluator, term = self._evaluator, self._evaluator.term
        rules = await self._alerts.rules()
        silences = await self._alerts.silences(self._clock.time())
        known = set(evaluator.book.stored)
        rows = await self._alerts.unresolved()
        if evaluator.term != term:
            return
        evaluator.rulebook.take(rules)
        evaluator.silences = silences
        if len(rows) < READ_MAX:
            await self._ended(known - {row.id for row in rows})
        evaluator.restored(evaluator.book.refresh(rows))
        evaluator.has_read(term)

    async def _ended(self, ids: set[str]) -> None:
        """Find out of alerts that are open here and not there: somebody has resolved them."""
        for alert_id in sorted(ids):
            try:
                record = await self._alerts.get(alert_id)
            except NotFound:
                record = None
            mine = next((each for each in self._evaluator.book.open.values() if each.id == alert_id), None)
            if mine is not None and (record is None or record.resolved):
                self._evaluator.resolved_by_hand(mine)

    async def _write(self) -> None:
        book = self._evaluator.book
        while book.unwritten:
            batch = list(book.unwritten.values())[:BATCH]
            await self._alerts.write(batch)
            book.written(batch)

    async def purge(self) -> None:
        """Delete what has been over for KEPT_DAYS."""
        try:
            await self._alerts.purge(self._clock.time() - KEPT_DAYS * DAY_S)
        except StoreError as error:
            _log.warning("alerts_purge_failed", **error.describe())
