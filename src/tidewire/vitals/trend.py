"""The percentiles of a histogram over time, over all nodes, from what they remember of its buckets. Pure.

Each node has read at its own moments; what rose between two readings counts for the step in which the later one lies.
It must not know HTTP or who asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isnan

import msgspec

from tidewire.vitals.percentile import quantile, summed
from tidewire.vitals.performance import PERCENTILES
from tidewire.vitals.reading import NodeHistory
from tidewire.vitals.ring import Line

STEP_S = 15.0
# Each point looks back over four steps, so that a p99 is made of more than a handful of values.
LOOK_BACK = 4


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """See the module's text. ``times``: end of each step, Unix seconds; None: there were no values."""

    times: list[float]
    per_second: list[float | None]
    percentiles: dict[str, list[float | None]]


def trend_of(histories: Sequence[NodeHistory], *, step_s: float = STEP_S, look_back: int = LOOK_BACK) -> Trend:
    """Return the percentiles at each step.

    Args:
        histories: Of the figures of one histogram that end in ``_bucket``.
    """
    steps: dict[int, dict[str, float]] = {}
    for history in histories:
        for line in history.lines:
            _add(steps, history.times, line, step_s)
    everything = [at for history in histories for at in history.times]
    if len(everything) < 2:
        return Trend(times=[], per_second=[], percentiles={name: [] for name in PERCENTILES})
    # The first reading says nothing of what was before it; the step of the last one may still grow.
    first, last = floor(min(everything) / step_s) + 1, floor(max(everything) / step_s)
    numbers = range(first, last + 1)
    buckets = [_window(steps, number, look_back) for number in numbers]
    # The first points look back over less, and the last step is not over yet.
    spans = [
        min((number + 1) * step_s, max(everything)) - max(first, number - look_back + 1) * step_s for number in numbers
    ]
    counts = [each[-1][1] if each else 0.0 for each in buckets]
    return Trend(
        times=[(number + 1) * step_s for number in numbers],
        per_second=[count / span_s if span_s > 0 else None for count, span_s in zip(counts, spans, strict=True)],
        percentiles={
            name: [None if (found := quantile(share, each)) is None else found.value for each in buckets]
            for name, share in PERCENTILES.items()
        },
    )


def _window(steps: dict[int, dict[str, float]], number: int, look_back: int) -> list[tuple[float, float]]:
    return summed(pair for each in range(number - look_back + 1, number + 1) for pair in steps.get(each, {}).items())


def _add(steps: dict[int, dict[str, float]], times: Sequence[float], line: Line, step_s: float) -> None:
    """Add what a bucket rose by to the steps in which it rose; a bucket that was not there was empty."""
    bound = dict(line.labels)["le"]
    before = 0.0
    for index, (at, value) in enumerate(zip(times, line.values, strict=True)):
        if isnan(value):
            continue
        rise = value - before if value >= before else value
        before = value
        if index and rise:
            step = steps.setdefault(floor(at / step_s), {})
            step[bound] = step.get(bound, 0.0) + rise
