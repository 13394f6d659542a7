"""When to connect again: by close code, the server's hint, and full jitter. Pure; chance and time are arguments.

It must not know sockets. ``core.backoff`` is not used: its floor makes half of all first delays the same, and ten
thousand clients that were cut together must not come back together.
Source: contract.md section 5, "Close codes" and "full jitter 0.5-20 s, counter reset only after a stable minute".
"""

from __future__ import annotations

import math

from tidewire.core.close_code import Reconnect, reconnect_after
from tidewire.core.protocol import ReconnectTerms

TERMS = ReconnectTerms(min_delay_ms=500, max_delay_ms=20_000, stable_after_ms=60_000)
# HTTP answers to the handshake that another attempt may turn into a connection.
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class Retry:
    """Counts failures and says how long to wait.

    Attributes:
        terms: The server's own, once it has told them.
        failures: Attempts that ended, since the last stable connection.
    """

    def __init__(self, terms: ReconnectTerms = TERMS) -> None:
        self.terms = terms
        self.failures = 0
        self._ready_at_ms: int | None = None

    def ready(self, now_ms: int) -> None:
        """The connection is up."""
        self._ready_at_ms = now_ms

    def lost(self, now_ms: int) -> None:
        """The connection is gone; failures are forgotten only if it had been stable."""
        if self._ready_at_ms is not None and now_ms - self._ready_at_ms >= self.terms.stable_after_ms:
            self.failures = 0
        self._ready_at_ms = None

    def delay_ms(self, action: Reconnect, hint_ms: int | None, draw: float) -> int:
        """Count a failure and return the wait before the next attempt, milliseconds.

        Args:
            hint_ms: The server's ``reconnect_after_ms``; it wins if it is positive.
            draw: Uniform random number in [0, 1).
        """
        failures = self.failures
        self.failures += 1
        if hint_ms is not None and hint_ms > 0:
            return hint_ms
        # "At once" holds for the first time only: a node that keeps closing must not be stormed.
        if action is Reconnect.AT_ONCE and failures == 0:
            return 0
        low = self.terms.min_delay_ms
        # 2**16 is far above any cap; the bound keeps the number small after days.
        high: int = min(self.terms.max_delay_ms, low * 2 ** min(failures + 1, 16))
        return math.floor(low + draw * (high - low))


def judge(code: int, word: str | None) -> Reconnect:
    """Return what a close means; ``word`` is from the server's ``closing`` message and wins if it is known."""
    try:
        return Reconnect(word) if word is not None else reconnect_after(code)
    except ValueError:
        return reconnect_after(code)


def judge_status(status: int) -> Reconnect:
    """Return what an HTTP answer instead of the upgrade means."""
    return Reconnect.BACKOFF if status in RETRY_STATUS else Reconnect.NEVER
