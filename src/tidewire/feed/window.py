"""Sliding windows: rates, percentiles, and how long a silence may last. Pure; time is an argument.

It must not know what is counted.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from tidewire.core.feed_status import Percentiles


class RateWindow:
    """Sums over the last ``seconds``, in buckets of one second. Never a total divided by an uptime.

    Args:
        seconds: Length of the window.
    """

    def __init__(self, seconds: int = 10) -> None:
        self._seconds = seconds
        self._amounts = [0.0] * seconds
        self._stamps = [-1] * seconds
        self._started: float | None = None

    def add(self, now: float, amount: float) -> None:
        """Count ``amount`` at ``now`` (monotonic seconds, not falling)."""
        if self._started is None:
            self._started = now
        second = int(now)
        slot = second % self._seconds
        if self._stamps[slot] != second:
            self._stamps[slot] = second
            self._amounts[slot] = 0.0
        self._amounts[slot] += amount

    def total(self, now: float) -> float:
        """Return the sum over the window that ends at ``now``."""
        oldest = int(now) - self._seconds
        return sum(a for a, stamp in zip(self._amounts, self._stamps, strict=True) if stamp > oldest)

    def rate(self, now: float) -> float:
        """Return the mean per second over the window; over what has passed of it, but at least one second."""
        if self._started is None:
            return 0.0
        # The bucket of the running second is not full: the window covers whole seconds plus this fraction.
        covered = min(now - self._started, self._seconds - 1 + (now - int(now)))
        return self.total(now) / max(1.0, covered)


class LatencyWindow:
    """Percentiles of the newest samples.

    Args:
        seconds: Samples older than this are forgotten.
        max_samples: Bound; the oldest leave first. 1,000 sort in 50 us, and put 10 samples above the 99th percentile.
    """

    def __init__(self, seconds: float = 30.0, max_samples: int = 1_000) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, float]] = deque(maxlen=max_samples)

    def add(self, now: float, value_ms: float) -> None:
        """Keep one sample taken at ``now`` (monotonic seconds)."""
        self._samples.append((now, value_ms))

    def percentiles(self, now: float) -> Percentiles:
        """Return p50 and p99 by nearest rank over the window that ends at ``now``."""
        oldest = now - self._seconds
        values = sorted(value for at, value in self._samples if at >= oldest)
        if not values:
            return Percentiles()
        return Percentiles(p50=_rank(values, 0.50), p99=_rank(values, 0.99))


def _rank(values: list[float], share: float) -> float:
    return values[max(0, math.ceil(share * len(values)) - 1)]


# Weight of the newest gap in the mean: times the factor 20 it lifts the threshold to at least the last natural gap.
_GAP_WEIGHT: Final = 0.05
_MEAN_GAPS: Final = 20.0
# A silence that ended by itself was natural; twice that is not yet news. Forgotten with this time constant.
_LONGEST_GAPS: Final = 2.0
_FORGET_S: Final = 900.0


class SilenceWatch:
    """How long a connected line may be silent before that is worth saying.

    The threshold is max(10 s, 20 times the mean gap, twice the longest recent gap), so that a line with sparse tickers
    does not flap. A gap across a reconnect is not learned.

    Args:
        floor_s: Smallest threshold, seconds.
        unknown_s: Threshold before two frames were ever seen, seconds.
    """

    def __init__(self, floor_s: float = 10.0, unknown_s: float = 60.0) -> None:
        self.floor_s = floor_s
        self.unknown_s = unknown_s
        self.mean_gap_s: float | None = None
        self._longest_s = 0.0
        self._last: float | None = None
        self._since = 0.0

    def connect(self, now: float) -> None:
        """Start listening at ``now`` (monotonic seconds); what was learned before stays."""
        self._last = None
        self._since = now

    def receive(self, now: float) -> None:
        """Note data at ``now``."""
        if self._last is not None:
            gap = now - self._last
            mean = self.mean_gap_s
            self.mean_gap_s = gap if mean is None else mean + _GAP_WEIGHT * (gap - mean)
            self._longest_s = max(gap, self._longest_s * math.exp(-gap / _FORGET_S))
        self._last = now

    def silent_s(self, now: float) -> float:
        """Return the seconds since data, or since the connection if there was none."""
        return now - (self._since if self._last is None else self._last)

    def threshold_s(self) -> float:
        """Return how many seconds of silence are normal here."""
        if self.mean_gap_s is None:
            return self.unknown_s
        return max(self.floor_s, _MEAN_GAPS * self.mean_gap_s, _LONGEST_GAPS * self._longest_s)
