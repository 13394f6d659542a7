"""The alerts that are open, and what of them the database does not have yet. Pure; ids come from outside.

It must not know the database or who is told. What waits to be written is bounded: the oldest that is over goes first,
and is counted as lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from tidewire.alerts.engine import NO_DATA, Change
from tidewire.alerts.rule import Figure, Rule
from tidewire.alerts.wire import AlertCode, AlertShown, FigureSaid, Said
from tidewire.store.alert_records import AlertRecord

# An hour of a storm at the most that is sent; one alert is about a kilobyte.
UNWRITTEN_MAX = 1_000
MEMBERS_SHOWN = 50
SYSTEM = "system"


class Book:
    """See the module's text.

    Args:
        node: Who writes it.
        new_id: Makes an id that nobody else has.

    Attributes:
        open: (rule, group) -> its alert.
        unwritten: By id, oldest change first.
        stored: Ids of open alerts that the database has.
        lost: How many alerts the database will never have.
    """

    def __init__(self, node: str, new_id: Callable[[], str]) -> None:
        self._node = node
        self._new_id = new_id
        self.open: dict[tuple[str, str], AlertRecord] = {}
        self.unwritten: dict[str, AlertRecord] = {}
        self.stored: set[str] = set()
        self.lost = 0

    def apply(self, change: Change) -> AlertRecord:
        """Note a change; return the alert as it is now."""
        key = (change.rule.key, change.group)
        before = self.open.get(key)
        at = round(change.at, 6)
        if before is None:
            record = AlertRecord(
                id=self._new_id(), alert_type=change.rule.key, group=change.group, severity=change.rule.severity,
                message=sentence(change), details=self._details(change), opened_at=at, updated_at=at,
            )  # fmt: skip
        else:
            record = replace(before, updated_at=at)
            if change.kind != "closed":
                record = replace(
                    record, severity=change.rule.severity, message=sentence(change), details=self._details(change)
                )
        if change.kind == "closed":
            record = replace(record, resolved=True, resolved_at=at, resolved_by=SYSTEM, resolved_why=change.why)
            self.open.pop(key, None)
            self.stored.discard(record.id)
        else:
            self.open[key] = record
        self._note(record)
        return record

    def adopt(self, record: AlertRecord) -> None:
        """Take over an open alert that the database has."""
        self.open[record.alert_type, record.group] = record
        self.stored.add(record.id)

    def refresh(self, rows: Iterable[AlertRecord]) -> list[AlertRecord]:
        """Take what people have done from the rows that the database has unresolved; return those it knows nothing of.

        An alert that was opened while the database could not be asked takes the id of the row that was open before it.
        """
        unknown = []
        for row in rows:
            mine = self.open.get((row.alert_type, row.group))
            if row.id in self.unwritten and (mine is None or mine.id != row.id):
                # It is over here, and waits to be written.
                continue
            if mine is None:
                unknown.append(row)
            elif mine.id != row.id and mine.id in self.stored:
                self.end(row, mine.opened_at, "twice")
            else:
                self._merge(mine, row)
        return unknown

    def _merge(self, mine: AlertRecord, row: AlertRecord) -> None:
        waiting = self.unwritten.pop(mine.id, None)
        merged = replace(
            mine, id=row.id, opened_at=row.opened_at, acknowledged_at=row.acknowledged_at,
            acknowledged_by=row.acknowledged_by, acknowledged_note=row.acknowledged_note,
        )  # fmt: skip
        self.adopt(merged)
        if waiting is not None:
            self._note(merged)

    def forget(self, record: AlertRecord) -> None:
        """Somebody has resolved it: the book has no part in it any more."""
        self.open.pop((record.alert_type, record.group), None)
        self.unwritten.pop(record.id, None)
        self.stored.discard(record.id)

    def end(self, record: AlertRecord, at: float, why: str) -> None:
        """Resolve a row that has no part in the book."""
        self._note(replace(record, resolved=True, resolved_at=at, resolved_by=SYSTEM, resolved_why=why))

    def written(self, records: Iterable[AlertRecord]) -> None:
        """The database has these; what has changed meanwhile waits for the next time."""
        for record in records:
            if self.unwritten.get(record.id) is record:
                del self.unwritten[record.id]
            mine = self.open.get((record.alert_type, record.group))
            if mine is not None and mine.id == record.id:
                self.stored.add(record.id)

    def clear(self) -> None:
        """Somebody else judges now. What waits to be written still does."""
        self.open.clear()
        self.stored.clear()

    def _note(self, record: AlertRecord) -> None:
        self.unwritten.pop(record.id, None)
        self.unwritten[record.id] = record
        while len(self.unwritten) > UNWRITTEN_MAX:
            oldest = next((each.id for each in self.unwritten.values() if each.resolved), next(iter(self.unwritten)))
            del self.unwritten[oldest]
            self.lost += 1

    def _details(self, change: Change) -> dict[str, Any]:
        return {
            "name": change.rule.name,
            "advice": change.rule.advice,
            "value": change.value,
            "threshold": change.rule.threshold,
            "compare": change.rule.compare,
            "members": list(change.members[:MEMBERS_SHOWN]),
            "member_count": len(change.members),
            "note": change.note,
            "node": self._node,
            "said": msgspec.to_builtins(_said(change)),
        }


def sentence(change: Change) -> str:
    """Return what has happened, in one sentence."""
    rule = change.rule
    name = f"{rule.name} ({change.group})" if change.group not in ("", NO_DATA) else rule.name
    if change.group == NO_DATA:
        return f"{name}: no node has measured {_figure(rule)} for {rule.for_s:g} s."
    where = f" on {len(change.members)} series" if len(change.members) > 1 else ""
    if change.value is None:
        return f"{name}: {_figure(rule)} is not known any more; it was bad when it was last known."
    lasting = f" for {rule.for_s:g} s" if rule.for_s else ""
    bad = f"{rule.compare} {_number(rule.threshold)}{lasting} is bad"
    return f"{name}: {_figure(rule)} is {_number(change.value)}{where}; {bad}."


def _said(change: Change) -> Said:
    rule = change.rule
    code: AlertCode = "no_data" if change.group == NO_DATA else "unknown" if change.value is None else "bad"
    figures = [
        FigureSaid(metric=_metric(figure), read=figure.read, window_s=figure.window_s)
        for figure in (rule.figure, rule.over)
        if figure is not None
    ]
    return Said(code=code, figures=figures, for_s=rule.for_s)


def _number(value: float) -> str:
    """Return a number as people read it: 67,108,864, 0.125."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def _figure(rule: Rule) -> str:
    return _words(rule.figure) if rule.over is None else f"{_words(rule.figure)} by {_words(rule.over)}"


def _words(figure: Figure) -> str:
    name = _metric(figure)
    window = f" over {figure.window_s:g} s" if figure.read == "rate" else ""
    return name if figure.read == "value" else f"{figure.read} of {name}{window}"


def _metric(figure: Figure) -> str:
    where = ", ".join(f"{name}={value}" for name, value in sorted(figure.where.items()))
    return f"{figure.metric}{{{where}}}" if where else figure.metric


def shown(record: AlertRecord, *, stored: bool = True, silenced_until: float | None = None) -> AlertShown:
    """Return an alert as it is shown."""
    details: Mapping[str, Any] = record.details
    return AlertShown(
        id=record.id,
        rule=record.alert_type,
        name=str(details.get("name", record.alert_type)),
        group=record.group,
        severity=record.severity,
        message=record.message,
        advice=str(details.get("advice", "")),
        value=details.get("value"),
        threshold=details.get("threshold"),
        compare=str(details.get("compare", "")),
        members=list(details.get("members", [])),
        member_count=int(details.get("member_count", 0)),
        note=str(details.get("note", "")),
        opened_at=record.opened_at,
        updated_at=record.updated_at,
        acknowledged_at=record.acknowledged_at,
        acknowledged_by=record.acknowledged_by,
        acknowledged_note=record.acknowledged_note,
        silenced_until=silenced_until,
        resolved=record.resolved,
        resolved_at=record.resolved_at,
        resolved_by=record.resolved_by,
        resolved_why=record.resolved_why,
        stored=stored,
        node=str(details.get("node", "")),
        said=msgspec.convert(details.get("said"), Said | None),
    )
