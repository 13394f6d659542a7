"""Counts durations by size, as Prometheus histograms do. Pure; it must not know what is measured.

Source: Prometheus manual, "Histograms and summaries": buckets are cumulative, the last one is everything.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

# From a cached answer to a client that has given up; each step about doubles, as an operator reads times.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """One histogram.

    Args:
        bounds: Upper bounds of the buckets, ascending; a value that equals one belongs to it.

    Attributes:
        sum: Of all values.
        count: How many there were.
    """

    __slots__ = ("_bounds", "_counts", "count", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0
        self.count = 0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value
        self.count += 1

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Yield each bound as Prometheus writes it, with how many values were not greater; ``+Inf`` comes last."""
        so_far = 0
        for bound, count in zip(self._bounds, self._counts, strict=False):
            so_far += count
            yield f"{bound:g}" if bound % 1 else f"{bound:.1f}", so_far
        yield "+Inf", self.count
