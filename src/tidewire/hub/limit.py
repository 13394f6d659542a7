"""How often a client may be wrong. Pure: time is an argument. It must not know what is being judged."""

from __future__ import annotations


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
        """Count an error; True if it is one too many. ``now``: monotonic seconds."""
        if now - self._at > self._forget_s:
            self.count = 0
        self._at = now
        self.count += 1
        return self.count >= self._max_errors
