"""Whether the server is still there, judged by elapsed time. Pure.

A timer that comes late proves nothing: the process slept, or the browser throttled a hidden page, and what the server
said meanwhile may still wait to be read. So silence after a late timer is asked about once more, never acted upon.
Source: contract.md section 5 (heartbeat every 25 s, 10 s without any sign of life).
"""

from __future__ import annotations

import enum

from tidewire.core.protocol import HeartbeatTerms

TERMS = HeartbeatTerms(interval_ms=25_000, timeout_ms=10_000)
# A loop that is this late was not running: a busy page or process is late by less.
LATE_MS = 2_000


class Verdict(enum.Enum):
    """What a look at the clock says."""

    FINE = "fine"
    PROBE = "probe"
    DEAD = "dead"


class Heartbeat:
    """See the module's text."""

    def __init__(self) -> None:
        self._terms = TERMS
        self._seen_ms = 0
        self._probed_ms: int | None = None

    def begin(self, terms: HeartbeatTerms | None, now_ms: int) -> None:
        """A connection is up."""
        self._terms = terms or TERMS
        self.alive(now_ms)

    def alive(self, now_ms: int) -> None:
        """Something came from the server."""
        self._seen_ms = now_ms
        self._probed_ms = None

    def due_ms(self) -> int:
        """Return when to look again."""
        if self._probed_ms is not None:
            return self._probed_ms + self._terms.timeout_ms
        return self._seen_ms + self._terms.interval_ms + self._terms.timeout_ms // 2

    def look(self, now_ms: int) -> Verdict:
        """Judge; ``PROBE`` means that a ping must be sent now."""
        due_ms = self.due_ms()
        if now_ms < due_ms:
            return Verdict.FINE
        if self._probed_ms is None or now_ms - due_ms > LATE_MS:
            self._probed_ms = now_ms
            return Verdict.PROBE
        return Verdict.DEAD
