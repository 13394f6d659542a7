"""A token bucket. Pure: time is an argument. It must not know what a token pays for."""

from __future__ import annotations


class TokenBucket:
    """Allows ``burst`` at once and ``rate`` per second in the long run.

    Args:
        rate: Tokens gained per second.
        burst: Most tokens that can be saved up; also the number at the start.
        now: Monotonic seconds.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one token; return whether there was one. ``now`` is monotonic seconds."""
        self._refill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def wait_s(self, now: float) -> float:
        """Return how long until there is a token, seconds."""
        self._refill(now)
        return max(0.0, (1.0 - self._tokens) / self._rate)

    def _refill(self, now: float) -> None:
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
