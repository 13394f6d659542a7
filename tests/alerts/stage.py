"""Samples by hand, and an engine that is stepped through time by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tidewire.alerts.engine import Change, Engine
from tidewire.alerts.readings import Readings
from tidewire.alerts.rule import Figure, Rule
from tidewire.core.sample import NodeSamples, Sample

# A Wednesday, 12:00 in New York: the market trades. Its Saturday is three days later.
NOON = 1_705_510_800.0
DAY = 86_400.0


def samples(node: str, at: float, values: Mapping[str, float] | Iterable[Sample]) -> NodeSamples:
    """Return what a node has measured; plain names have no labels."""
    given = [Sample(name, value) for name, value in values.items()] if isinstance(values, Mapping) else list(values)
    return NodeSamples(node=node, instance=f"{node}-1", at=at, samples=given)


def rule(**more: Any) -> Rule:
    """Return a rule over the metric ``m``."""
    given: dict[str, Any] = {"key": "r", "name": "R", "figure": Figure(metric="m"), "threshold": 10.0, "for_s": 10.0}
    return Rule(**{**given, **more})


class Stage:
    """An engine with its readings and rules."""

    def __init__(self, *rules: Rule, now: float = NOON) -> None:
        self.engine = Engine()
        self.readings = Readings()
        self.rules = list(rules)
        self.now = now
        self.readings.want(figure for each in rules for figure in each.figures)

    def step(self, *nodes: NodeSamples, silent: Iterable[tuple[str, str]] = (), after: float = 5.0) -> list[Change]:
        """Let time pass, then judge what these nodes have measured."""
        self.now += after
        self.readings.take(nodes, silent, self.now)
        return self.engine.step(self.rules, self.readings, self.now)

    def see(self, value: float | None, *, after: float = 5.0, **more: float) -> list[str]:
        """Judge one node that has measured ``m``, or has not; return what changed."""
        found = {} if value is None else {"m": value}
        changes = self.step(samples("a", self.now + after, {**found, **more}), after=after)
        return [f"{change.kind}" + (f" {change.why}" if change.kind == "closed" else "") for change in changes]

    def state(self, key: str = "r") -> str:
        """Return how a rule is: its own state, or its only group's phase."""
        for each, state, groups in self.engine.watched():
            if each.key == key:
                return state if state != "known" else next((one.phase.value for one in groups.values()), "fine")
        return "unknown"
