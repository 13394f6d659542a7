"""One rule and the readings: each group's number, and which series are bad. Pure; it must not remember anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tidewire.alerts.readings import Readings, Series
from tidewire.alerts.rule import Figure, Rule

# More groups than anybody reads: those that are best stay out, and the rule says how many there are.
GROUPS_MAX = 100
# What the database keeps of a group's name.
GROUP_CHARS = 400


@dataclass(frozen=True, slots=True)
class Reading:
    """What a group has.

    Attributes:
        value: The number; None: there is too little to compare.
        members: The series that are bad, by name.
        present: All series that there are.
    """

    value: float | None
    members: frozenset[str]
    present: frozenset[str]


def group_of(series: Series, by: tuple[str, ...]) -> str:
    """Return the name of a series' group, such as ``line=2``; empty if there is only one."""
    labels = dict(series.labels)
    return ",".join(f"{name}={labels[name]}" for name in by if name in labels)[:GROUP_CHARS]


def member_of(series: Series) -> str:
    """Return the name of a series for people; the node comes first, whatever its labels are."""
    return " ".join([series.node, *(f"{name}={value}" for name, value in series.labels if name != "node")])


def is_on(member: str, nodes: Iterable[str]) -> bool:
    """Whether a member is on one of some nodes; names of nodes are anything, with spaces too."""
    return any(member == node or member.startswith(f"{node} ") for node in nodes)


def judge(rule: Rule, readings: Readings) -> dict[str, Reading] | None:
    """Return each group's reading; None if nobody has a metric that the rule needs."""
    numbers = readings.read(rule.figure)
    if numbers is None:
        return None
    if rule.over is None:
        found = {group: _plain(rule, series) for group, series in _grouped(numbers, rule.by).items()}
    else:
        below = readings.read(rule.over)
        if below is None:
            return None
        over = _grouped(below, rule.by)
        found = {
            group: _ratio(rule, series, over.get(group, {})) for group, series in _grouped(numbers, rule.by).items()
        }
    return _worst_groups(rule, found)


def rests(rule: Rule, readings: Readings) -> bool:
    """Whether something says that what the rule watches is as somebody wanted it."""
    if rule.unless is None:
        return False
    return any(value > 0 for value in (readings.read(Figure(metric=rule.unless)) or {}).values())


def _grouped(values: dict[Series, float], by: tuple[str, ...]) -> dict[str, dict[Series, float]]:
    groups: defaultdict[str, dict[Series, float]] = defaultdict(dict)
    for series, value in values.items():
        groups[group_of(series, by)][series] = value
    return groups


def _plain(rule: Rule, series: dict[Series, float]) -> Reading:
    value = _combined(rule, list(series.values()))
    bad = {member_of(each) for each, number in series.items() if rule.breached(number)}
    if not bad and rule.breached(value):
        # A sum may be bad though no part of it is; then all that add to it are in it.
        bad = {member_of(each) for each, number in series.items() if number}
    return Reading(value, frozenset(bad), frozenset(map(member_of, series)))


def _ratio(rule: Rule, series: dict[Series, float], over: dict[Series, float]) -> Reading:
    present = frozenset(map(member_of, series))
    if rule.combine != "any":
        below = _combined(rule, list(over.values())) if over else 0.0
        value = _divided(rule, _combined(rule, list(series.values())), below)
        bad = present if value is not None and rule.breached(value) else frozenset()
        return Reading(value, bad, present)
    ratios: dict[str, float] = {}
    for instance, node in {(each.instance, each.node) for each in series}:
        top = sum(number for each, number in series.items() if each.instance == instance)
        below = sum(number for each, number in over.items() if each.instance == instance)
        value = _divided(rule, top, below)
        if value is not None:
            ratios[node] = rule.worst([value, ratios.get(node, value)])
    if not ratios:
        return Reading(None, frozenset(), present)
    bad = frozenset(node for node, value in ratios.items() if rule.breached(value))
    return Reading(rule.worst(list(ratios.values())), bad, frozenset(ratios))


def _divided(rule: Rule, top: float, below: float) -> float | None:
    return top / below if below > 0 and below >= rule.least else None


def _combined(rule: Rule, values: list[float]) -> float:
    match rule.combine:
        case "max":
            return max(values)
        case "min":
            return min(values)
        case "sum":
            return sum(values)
        case "any":
            return rule.worst(values)


def _worst_groups(rule: Rule, found: dict[str, Reading]) -> dict[str, Reading]:
    if len(found) <= GROUPS_MAX:
        return found
    sign = -1.0 if rule.compare in (">", ">=") else 1.0
    known = {group: reading for group, reading in found.items() if reading.value is not None}
    order = sorted(known, key=lambda group: (sign * (known[group].value or 0.0), group))
    return {group: known[group] for group in order[:GROUPS_MAX]}
