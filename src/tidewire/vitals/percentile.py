"""Percentiles of a histogram, interpolated as Prometheus does it. Pure; it must not know what is measured.

Source: Prometheus manual, "histogram_quantile()": linear within a bucket, the first one begins at zero, and what falls
into the last bucket is only known to be greater than its lower bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Quantile(NamedTuple):
    """One percentile; ``beyond``: it is greater than ``value``, and nobody knows by how much."""

    value: float
    beyond: bool


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> Quantile | None:
    """Return the value that ``share`` of all values do not exceed; None if there are no values.

    Args:
        share: Between 0 and 1.
        buckets: Upper bound and how many values are not greater (cumulative), ascending; the last bound is infinite.
    """
    if len(buckets) < 2 or buckets[-1][1] <= 0:
        return None
    rank = share * buckets[-1][1]
    place = next(i for i, (_, count) in enumerate(buckets) if count >= rank)
    if place == len(buckets) - 1:
        return Quantile(buckets[-2][0], beyond=True)
    bound, count = buckets[place]
    below, before = buckets[place - 1] if place else (0.0, 0.0)
    if count <= before:
        return Quantile(below, beyond=False)
    return Quantile(below + (bound - below) * (rank - before) / (count - before), beyond=False)


def summed(parts: Iterable[tuple[str, float]]) -> list[tuple[float, float]]:
    """Return the buckets of several histograms as those of one, ascending.

    Args:
        parts: Bound as Prometheus writes it, and count, of every histogram.
    """
    counts: dict[float, float] = {}
    for bound, count in parts:
        at = float(bound)
        counts[at] = counts.get(at, 0.0) + count
    return sorted(counts.items())
