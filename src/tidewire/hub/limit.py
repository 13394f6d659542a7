"""How much a client may ask and how often it may be wrong. Pure: time is an argument, monotonic seconds.

It must not know what is being limited.
Source: reliability.md 3.1 item 8 (50 messages/s, burst 100).
"""

from __future__ import annotations


class TokenBucket:
    """Allows ``rate`` per second on average and ``burst`` at once."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> float:
        """Use one token. Returns 0.0 if there was one, else the seconds until there will be."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate


class ErrorBudget:
    """Counts errors that follow each other.

    Args:
        max_errors: This many in a row are too many.
        forget_s: An error that comes later than this after the one before starts a new row.
    """

    __slots__ = ("_at", "_forget_s", "_max_errors", "count")

    def __init__(self, max_errors: int = 10, forget_s: float = 10.0) -> None:
        self._max_errors = max_errors
        self._forget_s = forget_s
        self._at = float("-inf")
        self.count = 0

    def succeed(self) -> None:
        """A message was understood and done; the row ends."""
        self.count = 0

    def fail(self, now: float) -> bool:
        """Count an error; True if it is one too many."""
        if now - self._at > self._forget_s:
            self.count = 0
        self._at = now
        self.count += 1
        return self.count >= self._max_errors
