"""How often something may be said: the first time at once, then once per interval with a count. Pure.

It must not know what is said or where. Nothing is swallowed: what was held back is in the count of the next one.
"""

from __future__ import annotations


class Throttle:
    """Lets one log line through per interval.

    Args:
        every_s: Smallest time between two lines, seconds.
    """

    __slots__ = ("_last", "every_s", "waiting")

    def __init__(self, every_s: float = 10.0) -> None:
        self.every_s = every_s
        self.waiting = 0
        self._last: float | None = None

    def admit(self, now: float, amount: int = 1) -> int:
        """Note ``amount`` occurrences at ``now`` (monotonic seconds).

        Returns:
            How many occurrences the line to be written now stands for; 0 means: do not write yet.
        """
        self.waiting += amount
        if self._last is not None and now - self._last < self.every_s:
            return 0
        self._last = now
        told, self.waiting = self.waiting, 0
        return told
