"""Full-jitter exponential backoff that forgives only after a stable time. Pure: chance and time are arguments.

It must not know what is being retried.
Source: feed-protocol.md 1.4 (resetting on auth_success gave 318 reconnects an hour); "full jitter" as described in
the AWS Architecture Blog, "Exponential Backoff and Jitter".
"""

from __future__ import annotations


class Backoff:
    """Delay before the next attempt.

    Args:
        base_s: Upper bound of the first delay, seconds.
        cap_s: Largest upper bound, seconds.
        stable_s: How long things must go well before the count of failures is forgotten, seconds.
        floor_s: Smallest delay, so that a lucky draw is never an immediate retry, seconds.
    """

    def __init__(
        self, *, base_s: float = 0.5, cap_s: float = 30.0, stable_s: float = 10.0, floor_s: float = 0.05
    ) -> None:
        self.base_s = base_s
        self.cap_s = cap_s
        self.stable_s = stable_s
        self.floor_s = floor_s
        self.failures = 0
        self._good_since: float | None = None

    def succeed(self, now: float) -> None:
        """Note that things go well at ``now`` (monotonic seconds); forget failures after ``stable_s`` of it."""
        if self._good_since is None:
            self._good_since = now
        elif now - self._good_since >= self.stable_s:
            self.failures = 0

    def fail(self, draw: float) -> float:
        """Count a failure and return the delay in seconds.

        Args:
            draw: Uniform random number in [0, 1).
        """
        self._good_since = None
        # 2**30 is far above any cap; the bound keeps the float finite after days of failures.
        ceiling = min(self.cap_s, self.base_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return max(self.floor_s, draw * ceiling)
