"""Every transition of every alert: from readings and time to what opens and what closes. Pure; time is an argument.

::

    fine ------bad------------------> pending
    pending ---bad for for_s--------> open          (told)
    pending ---not bad, no data-----> fine          (an interruption: the time begins anew)
    open ------good-----------------> clearing
    clearing --good for clear_for_s-> fine          (told)
    clearing --not good, no data----> open

Between bad and good (the hysteresis band) an open alert stays open and a closed one closed. Absent figures never read
as good: what is open stays open and says so, and a rule without figures is itself shown as ``no_data``. It must not
know where readings come from, who is told, or what is stored.
Source: Prometheus manual, "Alerting rules" (for, keep_firing_for).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tidewire.alerts.judging import Reading, is_on, judge, rests
from tidewire.alerts.readings import Readings
from tidewire.alerts.rule import Rule
from tidewire.feed.session_calendar import in_session

# Steps come every few seconds; what was bad before and after a longer pause may have been good in between.
GAP_S = 30.0
# The group of the alert that a rule's figures are not there.
NO_DATA = "(no data)"

Why = Literal["good", "resting", "rule_off", "gone"]
Note = Literal["", "no_data", "quiet"]


class Phase(enum.Enum):
    """Where a group stands."""

    FINE = "fine"
    PENDING = "pending"
    OPEN = "open"
    CLEARING = "clearing"


@dataclass(slots=True)
class Standing:
    """One group of one rule.

    Attributes:
        since: Since when it is in its phase, Unix seconds.
        members: The series that are bad, or were when they were last seen.
        note: Why nothing is known at the moment; empty if something is.
    """

    phase: Phase = Phase.FINE
    since: float = 0.0
    value: float | None = None
    members: frozenset[str] = frozenset()
    note: Note = ""

    @property
    def is_open(self) -> bool:
        """Whether it has an alert."""
        return self.phase in (Phase.OPEN, Phase.CLEARING)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that has opened, moved or closed. ``members`` are names, sorted."""

    kind: Literal["opened", "moved", "closed"]
    rule: Rule
    group: str
    at: float
    value: float | None
    members: tuple[str, ...] = ()
    note: Note = ""
    why: Why = "good"


@dataclass(slots=True)
class _Watched:
    """What is known of one rule."""

    rule: Rule
    groups: dict[str, Standing] = field(default_factory=dict)
    state: Literal["known", "no_data", "resting"] = "known"


class Engine:
    """See the module's text."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._stepped_at: float | None = None

    def watched(self) -> Sequence[tuple[Rule, str, dict[str, Standing]]]:
        """Return each rule with its state (known, no_data, resting) and its groups."""
        return [(each.rule, each.state, each.groups) for each in self._watched.values()]

    def adopt(self, rule: Rule, group: str, members: Iterable[str], since: float) -> None:
        """Take over an alert that was open before; nothing is told."""
        watched = self._watched.setdefault(rule.key, _Watched(rule))
        watched.groups[group] = Standing(Phase.OPEN, since, None, frozenset(members), "no_data")

    def drop(self, key: str, group: str) -> None:
        """Somebody has resolved the alert: the group begins anew."""
        watched = self._watched.get(key)
        if watched is not None:
            watched.groups.pop(group, None)

    def step(self, rules: Iterable[Rule], readings: Readings, now: float) -> list[Change]:
        """Judge every rule at ``now``, Unix seconds; return what has changed."""
        before, self._stepped_at = self._stepped_at, now
        if before is not None and not 0 <= now - before <= GAP_S:
            self._interrupt(now)
        changes: list[Change] = []
        active = {rule.key: rule for rule in rules if rule.enabled}
        for key in self._watched.keys() - active.keys():
            changes += _close_all(self._watched.pop(key), now, "rule_off")
        for key, rule in active.items():
            watched = self._watched.setdefault(key, _Watched(rule))
            if watched.rule != rule:
                changes += self._replaced(watched, rule, now)
            changes += _judged(watched, readings, now)
        return changes

    def _replaced(self, watched: _Watched, rule: Rule, now: float) -> list[Change]:
        """The rule is another: what is open is judged by the new one, what is pending begins anew."""
        same_groups, watched.rule = watched.rule.by == rule.by, rule
        if not same_groups:
            return _close_all(watched, now, "rule_off")
        watched.groups = {group: each for group, each in watched.groups.items() if each.is_open}
        return []

    def _interrupt(self, now: float) -> None:
        for watched in self._watched.values():
            for standing in watched.groups.values():
                if standing.phase in (Phase.PENDING, Phase.CLEARING):
                    standing.since = now


def _judged(watched: _Watched, readings: Readings, now: float) -> list[Change]:
    rule = watched.rule
    if (rule.hours == "session" and not in_session(now)) or rests(rule, readings):
        watched.state = "resting"
        return _close_all(watched, now, "resting")
    found = judge(rule, readings)
    watched.state = "known" if found is not None else "no_data"
    changes: list[Change] = []
    for group in sorted({*watched.groups, *(found or {})} - {NO_DATA}):
        standing = watched.groups.setdefault(group, Standing(since=now))
        changes += _moved(rule, group, standing, (found or {}).get(group), readings, now)
        if standing.phase is Phase.FINE and (found is None or group not in found):
            del watched.groups[group]
    if rule.no_data == "alert" or NO_DATA in watched.groups:
        missing = frozenset({rule.figure.metric})
        reading = Reading(None, missing, missing) if found is None else None
        changes += _no_data(rule, watched.groups.setdefault(NO_DATA, Standing(since=now)), reading, now)
    return changes


def _no_data(rule: Rule, standing: Standing, reading: Reading | None, now: float) -> list[Change]:
    """Move the group of a rule's missing figures: ``reading`` is there while they are not."""
    if reading is None or rule.no_data != "alert":
        return _good(rule, NO_DATA, standing, now)
    standing.value, standing.members, standing.note = None, reading.members, "no_data"
    return _bad(rule, NO_DATA, standing, now)


def _moved(
    rule: Rule, group: str, standing: Standing, reading: Reading | None, readings: Readings, now: float
) -> list[Change]:
    """Move one group by what was read of it."""
    before = (standing.members, standing.note)
    if reading is None or reading.value is None:
        return _unknown(rule, group, standing, reading, readings, now)
    standing.value, standing.note = reading.value, ""
    if rule.breached(reading.value):
        standing.members = reading.members
        opened = _bad(rule, group, standing, now)
        moved = standing.is_open and not opened and before != (standing.members, "")
        return [_change("moved", rule, group, standing, now)] if moved else opened
    if standing.is_open and _missed(standing, reading, readings):
        # Who was bad has not been heard since: that others are good says nothing of it.
        standing.phase, standing.note = Phase.OPEN, "no_data"
        return [_change("moved", rule, group, standing, now)] if before[1] != "no_data" else []
    if rule.cleared(reading.value):
        return _good(rule, group, standing, now)
    standing.phase = Phase.OPEN if standing.is_open else Phase.FINE
    return [_change("moved", rule, group, standing, now)] if standing.is_open and before[1] else []


def _unknown(
    rule: Rule, group: str, standing: Standing, reading: Reading | None, readings: Readings, now: float
) -> list[Change]:
    """Nothing is known of the group now: nothing opens, and nothing clears unless its nodes have ended."""
    before, standing.note = standing.note, "no_data" if reading is None else "quiet"
    standing.value = None
    if not standing.is_open:
        standing.phase, standing.since = Phase.FINE, now
        return []
    standing.phase = Phase.OPEN
    lives = any(is_on(each, readings.nodes) for each in standing.members)
    if reading is None and readings.nodes and standing.members and not lives:
        return [_closed(rule, group, standing, now, "gone")]
    return [_change("moved", rule, group, standing, now)] if before != standing.note else []


def _bad(rule: Rule, group: str, standing: Standing, now: float) -> list[Change]:
    if standing.phase is Phase.FINE:
        standing.phase, standing.since = Phase.PENDING, now
    if standing.phase is Phase.CLEARING:
        standing.phase = Phase.OPEN
    if standing.phase is Phase.PENDING and now - standing.since >= rule.for_s:
        standing.phase, standing.since = Phase.OPEN, now
        return [_change("opened", rule, group, standing, now)]
    return []


def _good(rule: Rule, group: str, standing: Standing, now: float) -> list[Change]:
    if standing.phase in (Phase.FINE, Phase.PENDING):
        standing.phase, standing.since, standing.members = Phase.FINE, now, frozenset()
        return []
    if standing.phase is Phase.OPEN:
        standing.phase, standing.since = Phase.CLEARING, now
    if now - standing.since >= rule.clear_for_s:
        return [_closed(rule, group, standing, now, "good")]
    return []


def _missed(standing: Standing, reading: Reading, readings: Readings) -> bool:
    """Whether a series that was bad is not there though its node has not ended."""
    absent = standing.members - reading.present
    return any(is_on(each, readings.nodes) for each in absent)


def _closed(rule: Rule, group: str, standing: Standing, now: float, why: Why) -> Change:
    change = _change("closed", rule, group, standing, now, why)
    standing.phase, standing.since, standing.members, standing.note = Phase.FINE, now, frozenset(), ""
    return change


def _close_all(watched: _Watched, now: float, why: Why) -> list[Change]:
    closed = [
        _closed(watched.rule, group, standing, now, why)
        for group, standing in sorted(watched.groups.items())
        if standing.is_open
    ]
    watched.groups = {}
    return closed


def _change(
    kind: Literal["opened", "moved", "closed"],
    rule: Rule,
    group: str,
    standing: Standing,
    now: float,
    why: Why = "good",
) -> Change:
    members = tuple(sorted(standing.members))
    return Change(kind, rule, group, now, standing.value, members, standing.note, why)
