"""Queries over alerts, the rules for them, and silences. It must not know what a rule says or who is told.

The evaluator writes what it has found, as often as it likes: writing a row twice changes nothing, and nothing that a
person has done (acknowledged, resolved) is undone by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tidewire.core.errors import Conflict, NotFound
from tidewire.store.activity import insert_activity
from tidewire.store.alert_models import AlertRule, AlertSilence, SystemAlert
from tidewire.store.alert_records import AlertQuery, AlertRecord, RuleRecord, SilenceRecord
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry
from tidewire.store.rows import affected

# Most rows that one read returns, whatever is asked for.
READ_MAX = 1_000
NOTE_MAX = 500
# Rows deleted in one transaction.
PURGE_STEP = 1_000
_NOTHING_DONE = "Tidewire will not do anything; nothing was changed."
# What the evaluator says of an alert that is there already.
_MOVING = ("severity", "message", "details", "updated_at", "resolved", "resolved_at", "resolved_by", "resolved_why")


class Alerts:
    """The tables ``system_alerts``, ``alert_rules`` and ``alert_silences``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---- what the evaluator does

    async def write(self, records: Sequence[AlertRecord]) -> None:
        """Add alerts or bring them up to date, in one transaction. What is resolved stays so. Raises StoreError."""
        insert = (sqlite if self._database.kind == "sqlite" else postgresql).insert(SystemAlert)
        moving = {name: insert.excluded[name] for name in _MOVING}
        adding = insert.on_conflict_do_update(index_elements=["id"], set_=moving, where=SystemAlert.resolved.is_(False))

        def work(connection: Connection) -> None:
            if records:
                connection.execute(adding, [_row(each) for each in records])

        await self._database.write_at_once(work)

    async def unresolved(self) -> list[AlertRecord]:
        """Return what is open, oldest first, at most READ_MAX. Raises StoreError."""
        query = (
            select(SystemAlert)
            .where(SystemAlert.resolved.is_(False))
            .order_by(SystemAlert.opened_at, SystemAlert.id)
            .limit(READ_MAX)
        )
        async with self._database.read() as session:
            return [_alert(row) for row in await session.scalars(query)]

    async def purge(self, before: float) -> int:
        """Delete what was over before a time; return how many rows, in bounded steps. Raises StoreError."""
        # What is over had begun before: so the index finds it.
        begun = SystemAlert.opened_at < before
        over = and_(SystemAlert.resolved.is_(True), begun, SystemAlert.resolved_at < before)
        old = select(SystemAlert.id).where(over).limit(PURGE_STEP)
        deleted, step = 0, PURGE_STEP
        while step == PURGE_STEP:
            statement = delete(SystemAlert).where(SystemAlert.id.in_(old.scalar_subquery()))
            async with self._database.write() as session:
                step = affected(await session.execute(statement.execution_options(synchronize_session=False)))
            deleted += step
        async with self._database.write() as session:
            ended = delete(AlertSilence).where(AlertSilence.until < before)
            deleted += affected(await session.execute(ended.execution_options(synchronize_session=False)))
        return deleted

    # ---- what people do

    async def page(self, query: AlertQuery) -> tuple[list[AlertRecord], int]:
        """Return a page of alerts, and how many match. Raises StoreError."""
        matching = _matching(query)
        count = select(func.count()).select_from(SystemAlert).where(*matching)
        async with self._database.read() as session:
            rows = [_alert(row) for row in await session.scalars(_page(query, matching))]
            return rows, (await session.scalar(count)) or 0

    async def get(self, alert_id: str) -> AlertRecord:
        """Return one alert. Raises NotFound or StoreError."""
        async with self._database.read() as session:
            row = await session.get(SystemAlert, alert_id)
        if row is None:
            raise unknown_alert(alert_id)
        return _alert(row)

    async def acknowledge(self, alert_id: str, now: float, by: str, note: str, audit: ActivityEntry) -> AlertRecord:
        """Note who looks after it. Raises NotFound, Conflict if somebody does or it is resolved, StoreError."""
        values = {"acknowledged_at": now, "acknowledged_by": by[:64], "acknowledged_note": note[:NOTE_MAX]}
        untouched = and_(SystemAlert.resolved.is_(False), SystemAlert.acknowledged_at.is_(None))
        return await self._mark(alert_id, untouched, values, audit)

    async def resolve(self, alert_id: str, now: float, by: str, why: str, audit: ActivityEntry) -> AlertRecord:
        """End it by hand. Raises NotFound, Conflict if it is resolved already, StoreError."""
        values = {"resolved": True, "resolved_at": now, "resolved_by": by[:64], "resolved_why": why[:NOTE_MAX]}
        return await self._mark(alert_id, SystemAlert.resolved.is_(False), values, audit)

    async def _mark(
        self, alert_id: str, if_so: ColumnElement[bool], values: Mapping[str, Any], audit: ActivityEntry
    ) -> AlertRecord:
        statement = update(SystemAlert).where(SystemAlert.id == alert_id, if_so).values(**values)
        async with self._database.write() as session:
            changed = await session.scalar(statement.returning(SystemAlert.id))
            row = await session.get(SystemAlert, alert_id)
            if row is None:
                raise unknown_alert(alert_id)
            await session.refresh(row)
            if changed is None:
                raise _too_late(_alert(row))
            insert_activity(session, audit)
            return _alert(row)

    # ---- rules

    async def rules(self) -> list[RuleRecord]:
        """Return every stored rule, by key. Raises StoreError."""
        async with self._database.read() as session:
            return [_rule(row) for row in await session.scalars(select(AlertRule).order_by(AlertRule.key))]

    async def put_rule(self, record: RuleRecord, most: int, audit: ActivityEntry) -> RuleRecord:
        """Store a rule that had ``record.version`` before (0: none was stored); return it with the next version.

        Raises:
            Conflict: It has another version now, or there are ``most`` rules already.
            StoreError: Nothing was changed, unless the error says that this is unknown.
        """
        async with self._database.write() as session:
            row = await session.scalar(select(AlertRule).where(AlertRule.key == record.key).with_for_update())
            _same_version(record.key, 0 if row is None else row.version, record.version)
            if row is None:
                if ((await session.scalar(select(func.count()).select_from(AlertRule))) or 0) >= most:
                    raise Conflict(
                        f"There are {most} rules already.",
                        required_action="Delete one that nobody needs.",
                        will_not=_NOTHING_DONE,
                        code="too_many_rules",
                        details={"most": most},
                    )
                row = AlertRule(key=record.key)
                session.add(row)
            row.document, row.version = dict(record.document), record.version + 1
            row.updated_at, row.updated_by = record.updated_at, record.updated_by[:64]
            insert_activity(session, audit)
            await session.flush()
            return _rule(row)

    async def delete_rule(self, key: str, version: int, audit: ActivityEntry) -> None:
        """Forget a stored rule. Raises NotFound, Conflict if it has another version, StoreError."""
        async with self._database.write() as session:
            row = await session.scalar(select(AlertRule).where(AlertRule.key == key).with_for_update())
            if row is None:
                raise NotFound(
                    f"No rule of the name {key[:64]!r} is stored.",
                    required_action="Look at the rules as they are now; shipped ones can be disabled, not deleted.",
                    will_not=_NOTHING_DONE,
                    details={"rule": key[:64]},
                )
            _same_version(key, row.version, version)
            await session.execute(delete(AlertRule).where(AlertRule.key == key))
            insert_activity(session, audit)

    # ---- silences

    async def silences(self, since: float) -> list[SilenceRecord]:
        """Return the silences whose time is not over at ``since``, the one that ends first first. Raises StoreError."""
        query = select(AlertSilence).where(AlertSilence.until > since).order_by(AlertSilence.until).limit(READ_MAX)
        async with self._database.read() as session:
            return [_silence(row) for row in await session.scalars(query)]

    async def silence(self, record: SilenceRecord, audit: ActivityEntry) -> None:
        """Add a silence. Raises StoreError."""
        async with self._database.write() as session:
            fields = {name: getattr(record, name) for name in _SILENCE}
            session.add(AlertSilence(**fields, group_key=record.group))
            insert_activity(session, audit)

    async def end_silence(self, silence_id: str, now: float, by: str, audit: ActivityEntry) -> SilenceRecord:
        """End a silence before its time. Raises NotFound, Conflict if it is over, StoreError."""
        living = and_(AlertSilence.ended_at.is_(None), AlertSilence.until > now)
        statement = update(AlertSilence).where(AlertSilence.id == silence_id, living)
        async with self._database.write() as session:
            done = await session.scalar(statement.values(ended_at=now, ended_by=by[:64]).returning(AlertSilence.id))
            row = await session.get(AlertSilence, silence_id)
            if row is None:
                raise NotFound(
                    f"There is no silence {silence_id[:64]!r}.",
                    required_action="Look at the silences as they are now.",
                    will_not=_NOTHING_DONE,
                    details={"silence": silence_id[:64]},
                )
            await session.refresh(row)
            if done is None:
                raise Conflict(
                    "The silence is over already.",
                    required_action="None: messages are sent again.",
                    will_not=_NOTHING_DONE,
                    code="already_over",
                )
            insert_activity(session, audit)
            return _silence(row)


def unknown_alert(alert_id: str) -> NotFound:
    """Return the refusal of an alert that is not there."""
    return NotFound(
        f"There is no alert {alert_id[:64]!r}.",
        required_action="Look at the list of alerts as it is now.",
        will_not=_NOTHING_DONE,
        details={"alert": alert_id[:64]},
    )


def _too_late(alert: AlertRecord) -> Conflict:
    what = "Look at the alert as it is now."
    if alert.resolved:
        told = f"The alert has been resolved already, by {alert.resolved_by}."
        return Conflict(
            told,
            required_action=what,
            will_not=_NOTHING_DONE,
            code="already_resolved",
            details={"by": alert.resolved_by},
        )
    told = f"The alert has been acknowledged already, by {alert.acknowledged_by}."
    return Conflict(
        told,
        required_action=what,
        will_not=_NOTHING_DONE,
        code="already_acknowledged",
        details={"by": alert.acknowledged_by},
    )


def _same_version(key: str, present: int, named: int) -> None:
    if present != named:
        raise Conflict(
            f"The rule {key} has version {present}, not {named}: somebody else has changed it.",
            required_action="Load the rule anew, then change it again.",
            will_not=_NOTHING_DONE,
            code="rule_changed",
            details={"rule": key, "present": present, "named": named},
        )


def _matching(query: AlertQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.resolved is not None:
        found.append(SystemAlert.resolved.is_(query.resolved))
    if query.acknowledged is not None:
        noted = SystemAlert.acknowledged_at
        found.append(noted.is_not(None) if query.acknowledged else noted.is_(None))
    if query.severity:
        found.append(SystemAlert.severity == query.severity)
    if query.alert_type:
        found.append(SystemAlert.alert_type == query.alert_type)
    if query.text:
        text = query.text.lower()
        columns = (SystemAlert.message, SystemAlert.alert_type, SystemAlert.group_key)
        found.append(or_(*(func.lower(column).contains(text, autoescape=True) for column in columns)))
    return found


def _page(query: AlertQuery, matching: list[ColumnElement[bool]]) -> Select[SystemAlert]:
    page = select(SystemAlert).where(*matching).limit(min(query.limit, READ_MAX))
    at, which = SystemAlert.opened_at, SystemAlert.id
    if query.after is not None:
        moment, last = query.after
        later = or_(at > moment, and_(at == moment, which > last))
        page = page.where(later if query.oldest_first else or_(at < moment, and_(at == moment, which < last)))
    return page.order_by(at, which) if query.oldest_first else page.order_by(at.desc(), which.desc())


_ALERT = (
    "id", "alert_type", "severity", "message", "details", "opened_at", "updated_at", "resolved", "resolved_at",
    "resolved_by", "resolved_why", "acknowledged_at", "acknowledged_by", "acknowledged_note",
)  # fmt: skip
_SILENCE = ("id", "alert_type", "reason", "created_at", "created_by", "until", "ended_at", "ended_by")


def _row(record: AlertRecord) -> dict[str, Any]:
    return {**{name: getattr(record, name) for name in _ALERT}, "group_key": record.group}


def _alert(row: SystemAlert) -> AlertRecord:
    return AlertRecord(group=row.group_key, **{name: getattr(row, name) for name in _ALERT})


def _rule(row: AlertRule) -> RuleRecord:
    return RuleRecord(
        key=row.key,
        document=row.document,
        version=row.version,
        updated_at=row.updated_at,
        updated_by=row.updated_by,
    )


def _silence(row: AlertSilence) -> SilenceRecord:
    return SilenceRecord(group=row.group_key, **{name: getattr(row, name) for name in _SILENCE})
