"""What all nodes have measured lately, and figures taken from it: values, rates, ages. Pure; time is an argument.

A node that stands still is not believed: if its newest sample is the same for ``STALE_S``, what it had is absent, not
old. Rates are taken between two samples of one process by that process's own clock; a counter that begins anew counts
from zero. It must not know rules' thresholds or where samples come from.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tidewire.alerts.rule import NODE, Figure
from tidewire.core.sample import Labels, NodeSamples

# Nodes measure every few seconds; one that has nothing new for this long stands still.
STALE_S = 30.0
# How old each node's newest sample is: made here, so that a rule can watch those who measure.
AGE_METRIC = "tidewire_alerts_sample_age_seconds"
# A rate over less than this share of its window would be called a rate too early.
COVERED = 0.5


class Series(NamedTuple):
    """One series of one process. ``labels`` are sorted by name, ``node`` among them."""

    instance: str
    labels: Labels

    @property
    def node(self) -> str:
        """The node's name."""
        return dict(self.labels)[NODE]


class _Process:
    """What one life of a node has measured."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.at = float("-inf")
        self.seen_at = 0.0
        self.values: dict[str, dict[Labels, float]] = {}
        # Metric -> (the process's time, value by labels), oldest first.
        self.past: dict[str, deque[tuple[float, dict[Labels, float]]]] = {}


class Readings:
    """See the module's text."""

    def __init__(self) -> None:
        self._processes: dict[str, _Process] = {}
        self._windows: dict[str, float] = {}
        self._silent: set[str] = set()
        self._now = 0.0

    def want(self, figures: Iterable[Figure]) -> None:
        """Remember what rates of these figures need, and nothing else."""
        self._windows = {}
        for figure in figures:
            if figure.read == "rate":
                self._windows[figure.metric] = max(figure.window_s, self._windows.get(figure.metric, 0.0))
        for process in self._processes.values():
            process.past = {name: past for name, past in process.past.items() if name in self._windows}

    def take(self, nodes: Sequence[NodeSamples], silent: Iterable[tuple[str, str]], now: float) -> None:
        """Take what was gathered at ``now``; ``silent``: (node, instance) of those who live and have not answered."""
        self._now = now
        present = {each.instance for each in nodes}
        quiet = {instance: node for node, instance in silent if instance not in present}
        # A node that is neither heard nor missed has ended: it is not waited for.
        for gone in self._processes.keys() - present - quiet.keys():
            del self._processes[gone]
        for instance, node in quiet.items():
            if instance not in self._processes:
                self._processes[instance] = made = _Process(node)
                made.seen_at = now
        for each in nodes:
            process = self._processes.setdefault(each.instance, _Process(each.node))
            if each.at > process.at:
                self._measured(process, each, now)
        self._silent = {process.node for process in self._processes.values() if self._stale(process)}
        self._silent |= set(quiet.values())

    def _measured(self, process: _Process, samples: NodeSamples, now: float) -> None:
        process.at, process.seen_at, process.node = samples.at, now, samples.node
        values: dict[str, dict[Labels, float]] = {}
        process.values = values
        for sample in samples.samples:
            if not math.isfinite(sample.value):
                # Nothing is above or below it: it would read as fine.
                continue
            labels = tuple(sorted({**dict(sample.labels), NODE: samples.node}.items()))
            values.setdefault(sample.name, {})[labels] = sample.value
        for name, window_s in self._windows.items():
            if name not in values:
                # What it was while nobody saw it is not known; it is not counted as a rise when it comes back.
                process.past.pop(name, None)
                continue
            past = process.past.setdefault(name, deque())
            past.append((samples.at, values[name]))
            # One sample from before the window is kept, so that the window is covered.
            while len(past) > 2 and past[1][0] <= samples.at - window_s:
                past.popleft()

    def _stale(self, process: _Process) -> bool:
        return self._now - process.seen_at > STALE_S

    def _fresh(self) -> list[tuple[str, _Process]]:
        return [(instance, each) for instance, each in self._processes.items() if not self._stale(each)]

    @property
    def unheard(self) -> frozenset[str]:
        """Names of the nodes that live and of which nothing new is known."""
        return frozenset(self._silent)

    @property
    def nodes(self) -> frozenset[str]:
        """Names of all nodes that live, as far as is known."""
        return frozenset(process.node for process in self._processes.values())

    def metrics(self) -> dict[str, frozenset[str]]:
        """Return which metrics there are, with the names of their labels."""
        found: dict[str, frozenset[str]] = {AGE_METRIC: frozenset({NODE})}
        for _, process in self._fresh():
            for name, series in process.values.items():
                names = frozenset(label for labels in series for label, _ in labels)
                found[name] = found.get(name, frozenset()) | names
        return found

    def read(self, figure: Figure) -> dict[Series, float] | None:
        """Return the figure of each series that matches; None if nobody has the metric at all."""
        if figure.metric == AGE_METRIC:
            return {
                Series(instance, ((NODE, each.node),)): self._now - each.seen_at
                for instance, each in self._processes.items()
                if figure.where.get(NODE, each.node) == each.node
            } or None
        found: dict[Series, float] = {}
        known = False
        for instance, process in self._fresh():
            series = process.values.get(figure.metric)
            if not series:
                continue
            known = True
            for labels in _matching(series, figure):
                value = self._figure(process, figure, labels)
                if value is not None:
                    found[Series(instance, labels)] = value
        return found if known else None

    def _figure(self, process: _Process, figure: Figure, labels: Labels) -> float | None:
        value = process.values[figure.metric].get(labels, 0.0)
        if figure.read == "value":
            return value
        if figure.read == "age":
            # Both by the process's own clock.
            return process.at - value + (self._now - process.seen_at)
        past = process.past.get(figure.metric, deque())
        # A counter that is not there yet has counted nothing, where the rule says so: it appears with its first event.
        zero = 0.0 if figure.absent == "zero" else None
        return _rate([(at, found.get(labels, zero)) for at, found in past], figure.window_s)


def _matching(series: dict[Labels, float], figure: Figure) -> set[Labels]:
    """Return the labels that match; with ``absent: zero`` also those that would, of series that are not there."""
    wanted = figure.where.items()
    found = {labels for labels in series if wanted <= dict(labels).items()}
    if figure.absent == "zero":
        found |= {
            tuple(sorted({**dict(labels), **figure.where}.items())) for labels in series if _same_node(labels, figure)
        }
    return found


def _same_node(labels: Labels, figure: Figure) -> bool:
    return figure.where.get(NODE, dict(labels)[NODE]) == dict(labels)[NODE]


def _rate(past: Sequence[tuple[float, float | None]], window_s: float) -> float | None:
    """Return by how much a counter rises per second; None while too little of the window is known."""
    known = [(at, value) for at, value in past if value is not None]
    if len(known) < 2:
        return None
    newest = known[-1][0]
    begin = max((at for at, _ in known if at <= newest - window_s), default=known[0][0])
    elapsed = newest - begin
    if elapsed < COVERED * window_s:
        return None
    values = [value for at, value in known if at >= begin]
    risen = sum(after - before if after >= before else after for before, after in pairwise(values))
    return risen / elapsed
