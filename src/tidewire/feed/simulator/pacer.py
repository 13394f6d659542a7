"""Says how many quanta of market time are due. Pure: the clock's reading is an argument.

It keeps the long-run rate exact: a late wake-up makes up for what it missed, until it is so late that making up would
only add to the overload; then the time is skipped and counted. It must not know what a quantum does.
"""

from __future__ import annotations


class Pacer:
    """Counts quanta against a monotonic clock.

    Args:
        now: Monotonic seconds at the start.
        quantum_s: Length of a quantum, seconds.
        max_behind_s: How late a quantum may be and still be made, seconds.
    """

    def __init__(self, now: float, *, quantum_s: float, max_behind_s: float = 1.0) -> None:
        self.skipped_s = 0.0
        self._start = now
        self._quantum_s = quantum_s
        self._max_behind_s = max_behind_s
        self._done = 0

    def due(self, now: float) -> int:
        """Return how many quanta have ended by ``now`` and are not done; the caller reports each with ``advance``."""
        # A thousandth of a quantum of grace: sums of floats must not push a quantum into the next wake-up.
        due = int((now - self._start) / self._quantum_s + 0.001) - self._done
        if due * self._quantum_s > self._max_behind_s:
            self.skipped_s += due * self._quantum_s
            self._start += due * self._quantum_s
            return 0
        return max(0, due)

    def advance(self) -> None:
        """Note that one quantum is done."""
        self._done += 1

    def delay_s(self, now: float) -> float:
        """Return how long to wait until the next quantum ends, seconds."""
        return max(0.0, self._start + (self._done + 1) * self._quantum_s - now)
