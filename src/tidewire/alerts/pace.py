"""How many messages may be sent: a bounded number per minute, and the number that was held back. Pure."""

from __future__ import annotations

from collections import deque

# More than this in a minute nobody reads; the page shows them all.
PER_MINUTE = 20
MINUTE_S = 60.0


class Pace:
    """See the module's text.

    Attributes:
        held: How many have been held back since the last one that told of it.
        held_in_all: Since start.
    """

    def __init__(self, per_minute: int = PER_MINUTE) -> None:
        self._per_minute = per_minute
        self._sent: deque[float] = deque()
        self.held = 0
        self.held_in_all = 0

    def admit(self, now: float) -> bool:
        """Whether one more may be sent at ``now``; if not, it is counted."""
        if not self._room(now):
            self.held += 1
            self.held_in_all += 1
            return False
        self._sent.append(now)
        return True

    def tell(self, now: float) -> int:
        """Return how many were held back if that may be told now, else 0; who tells it has told it."""
        if not self.held or not self._room(now):
            return 0
        self._sent.append(now)
        held, self.held = self.held, 0
        return held

    def _room(self, now: float) -> bool:
        while self._sent and not 0 <= now - self._sent[0] < MINUTE_S:
            self._sent.popleft()
        return len(self._sent) < self._per_minute
