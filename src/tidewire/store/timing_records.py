"""How long things took, counted in buckets, as the queries take and hand it up. Pure.

A histogram can be added up over nodes and steps of time, an average of averages cannot; so buckets are what is stored.
Source: Prometheus manual, "Histograms and summaries".
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

# Where each bucket ends, milliseconds, inclusive; the last one has no end. About three to a decade: a percentile read
# from it is off by at most a factor of 2.5, and is shown as "about".
BOUNDS_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0)
BUCKETS = len(BOUNDS_MS) + 1
# Rows are of so many seconds: 288 a day for each node and outcome.
STEP_S = 300


class TimingKey(NamedTuple):
    """What is counted together.

    Attributes:
        kind: ``api`` or ``calculation``.
        step_at: Beginning of the step, Unix seconds.
        outcome: ``2xx`` to ``5xx``, or how a calculation ended.
    """

    kind: str
    step_at: int
    node: str
    outcome: str


@dataclass(slots=True)
class Timing:
    """How often, how long in all, and how many in each bucket."""

    count: int = 0
    total_ms: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, took_ms: float) -> None:
        """Count one."""
        self.count += 1
        self.total_ms += took_ms
        self.buckets[bisect_left(BOUNDS_MS, took_ms)] += 1

    def merge(self, other: Timing) -> None:
        """Count all of another."""
        self.count += other.count
        self.total_ms += other.total_ms
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]

    def average_ms(self) -> float | None:
        """Return the mean; None if there was nothing."""
        return round(self.total_ms / self.count, 3) if self.count else None

    def percentile_ms(self, share: float) -> float | None:
        """Return about below what the given share (0 to 1) is; None if there was nothing.

        Evenly spread within its bucket; what is in the last bucket counts as where that begins.
        """
        if not self.count:
            return None
        rank, below = share * self.count, 0
        for number, count in enumerate(self.buckets):
            if count and below + count >= rank:
                low = BOUNDS_MS[number - 1] if number else 0.0
                high = BOUNDS_MS[number] if number < len(BOUNDS_MS) else low
                return round(low + (high - low) * (rank - below) / count, 3)
            below += count
        return BOUNDS_MS[-1]
