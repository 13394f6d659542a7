"""What an alert rule says: which figure, compared with what, for how long, and how bad that is. Pure.

It must not know where figures come from, or how a rule is stored or read from a document.
Source: issue 6, "Alerts"; dashboard.md 1.2, M14. Every field is explained in docs/alerts.md.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Severity = Literal["low", "medium", "high", "critical"]
Read = Literal["value", "rate", "age"]
Absent = Literal["no_data", "zero"]
Combine = Literal["max", "min", "sum", "any"]
Compare = Literal[">", ">=", "<", "<="]
Hours = Literal["always", "session"]
NoData = Literal["show", "alert"]

SEVERITIES: tuple[str, ...] = get_args(Severity)
# The label that every figure has beside its own: which node measured it.
NODE = "node"


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number that is taken from the samples of each node.

    Attributes:
        metric: Its name in ``/metrics``.
        where: Labels that a series must have, with their values; ``node`` is the node's name.
        read: As it is; how much a counter rises per second over ``window_s``; how long ago a Unix time was, seconds.
        window_s: Over which time a rate is taken.
        absent: What a series that is not there means while others of the metric are: nothing is known, or zero (a
            counter by status code appears with the first of its kind).
    """

    metric: str
    where: dict[str, str] = {}
    read: Read = "value"
    window_s: float = 60.0
    absent: Absent = "no_data"


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule.

    Attributes:
        key: Its name for programs; an alert's ``alert_type``.
        name: Its name for people.
        over: If given, the figure is divided by this one, group by group.
        least: Below this denominator there is too little to compare: nothing opens, nothing clears.
        by: Labels by whose values series are grouped: one alert per group. None: one alert in all.
        combine: How the series of a group become one number; ``any``: the worst of them counts.
        compare, threshold: When it is bad.
        clear: Where it is good again (hysteresis); None: as soon as it is not bad.
        for_s: How long it must have been bad without a break.
        clear_for_s: How long it must have been good again without a break.
        hours: ``session``: only while the market trades (feed/session_calendar).
        unless: A metric; while it is above zero on any node, the rule rests (a feed paused by an operator is silent).
        no_data: Whether figures that are not there are an alert of their own, or only shown.
        advice: What to do, for whoever reads the alert.
    """

    key: str
    name: str
    figure: Figure
    over: Figure | None = None
    least: float = 0.0
    by: tuple[str, ...] = ()
    combine: Combine = "any"
    compare: Compare = ">"
    threshold: float
    clear: float | None = None
    for_s: float = 60.0
    clear_for_s: float = 0.0
    severity: Severity = "medium"
    hours: Hours = "always"
    unless: str | None = None
    no_data: NoData = "show"
    enabled: bool = True
    advice: str = ""

    def breached(self, value: float) -> bool:
        """Whether the value is bad."""
        match self.compare:
            case ">":
                return value > self.threshold
            case ">=":
                return value >= self.threshold
            case "<":
                return value < self.threshold
            case "<=":
                return value <= self.threshold

    def cleared(self, value: float) -> bool:
        """Whether the value is good again; between the two it is neither bad nor good."""
        if self.breached(value):
            return False
        if self.clear is None:
            return True
        return value <= self.clear if self.compare in (">", ">=") else value >= self.clear

    def worst(self, values: list[float]) -> float:
        """Return the worst of some values."""
        return max(values) if self.compare in (">", ">=") else min(values)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures that it needs."""
        resting = () if self.unless is None else (Figure(metric=self.unless),)
        return (self.figure, *(() if self.over is None else (self.over,)), *resting)
