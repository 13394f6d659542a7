"""Turns what each node remembers of its figures into the lines of a dashboard, a value per step for each figure. Pure.

A step without a reading has no value: nothing is carried on, joined or guessed. A counter that fell has begun anew with
its process, so it has risen by what it shows. It must not know nodes' questions, widgets or pages.
Source: Prometheus manual, "rate()"; pages.md, "Honest".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import isfinite

import msgspec

from tidewire.core.sample import Labels
from tidewire.monitoring.dashboard_model import Figure

# Nodes read their figures at the same full five seconds; readings of one step belong together.
STEP_S = 5.0


class Remembered(msgspec.Struct, frozen=True):
    """What one node remembers: ``lines`` are name, labels, and a value beside each of ``times`` (NaN: none)."""

    instance: str
    times: Sequence[float]
    lines: Sequence[tuple[str, Labels, Sequence[float]]]


class Series(msgspec.Struct, frozen=True):
    """One figure over time.

    Attributes:
        values: Beside each time of the whole; None where there was no reading.
        lines: How many figures of nodes and labels it was made of; 0: there is none.
    """

    values: list[float | None]
    lines: int


_TOTALS: dict[str, Callable[[Collection[float]], float]] = {
    "sum": sum,
    "max": max,
    "min": min,
    "mean": lambda values: sum(values) / len(values),
}


def times_of(nodes: Iterable[Remembered]) -> list[float]:
    """Return the steps that any node has a reading of, Unix seconds, oldest first."""
    return sorted({_step(at) for node in nodes for at in node.times})


def series_of(figure: Figure, nodes: Sequence[Remembered], times: Sequence[float]) -> Series:
    """Return a figure's line.

    Args:
        times: As ``times_of`` returns them.
    """
    wanted = set(figure.labels.items())
    columns: list[dict[float, float]] = []
    for node in nodes:
        for name, labels, values in node.lines:
            if name == figure.metric and wanted <= set(labels):
                read = {_step(at): value for at, value in zip(node.times, values, strict=True) if isfinite(value)}
                columns.append(_rates(read) if figure.shown == "per_second" else read)
    total = _TOTALS[figure.total]
    line: list[float | None] = []
    for at in times:
        present = [column[at] for column in columns if at in column]
        line.append(total(present) if present else None)
    return Series(line, len(columns))


def _rates(read: dict[float, float]) -> dict[float, float]:
    """Return how fast a counter rose between neighbouring steps; none over a hole."""
    rates = {}
    for at, value in read.items():
        before = read.get(at - STEP_S)
        if before is not None:
            rates[at] = (value - before if value >= before else value) / STEP_S
    return rates


def _step(at: float) -> float:
    return round(at / STEP_S) * STEP_S
