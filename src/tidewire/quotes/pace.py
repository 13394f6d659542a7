"""How fast somebody may write over HTTP: one bucket per user, for every write of quotes together.

Sockets have a pace of their own, in the hub. Per process: with several workers a user may have as many buckets. It must
not know routes. Source: RFC 6585 section 4 (429); RFC 9110 section 10.2.3 (Retry-After).
"""

from __future__ import annotations

from tidewire.accounts.model import Principal
from tidewire.accounts.throttle import Throttle
from tidewire.core.clock import Clock
from tidewire.core.errors import RateLimited

# As fast as one socket may send (HubOptions). Nobody types that fast, and a calculation took 16 ms of a core, so
# that no user can have the whole of a process.
WRITE_BURST, WRITE_EVERY_S = 100, 0.02


class WritePace:
    """See the module's text."""

    def __init__(self, clock: Clock, *, burst: int = WRITE_BURST, every_s: float = WRITE_EVERY_S) -> None:
        self._clock = clock
        self._rate = Throttle(burst=burst, every_s=every_s)

    def statistics(self) -> dict[str, int]:
        """Return counters since start: how many writes have been refused."""
        return {"http_writes_refused": self._rate.refused}

    def take(self, principal: Principal) -> None:
        """Count a write of somebody. Raises RateLimited if it comes too early."""
        refusal = self._rate.take(str(principal.user_id), self._clock.monotonic())
        if refusal is not None:
            raise RateLimited(
                f"You have sent more than {self._rate.burst} changes of quotes at once, or too many a second since.",
                required_action="Wait as long as Retry-After says, then send it again with the same Idempotency-Key.",
                will_not="Tidewire will not do any part of what this request asked.",
                retry_after_ms=max(1, round(refusal.retry_after_s * 1000)),
            )
