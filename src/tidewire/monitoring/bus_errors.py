"""Counts bus messages that were not understood and says when to log one. Pure; it must not know what they were.

Source: contract.md section 3: counted, logged once per minute with a sample, shown; they stop nothing.
"""

from __future__ import annotations

import msgspec

from tidewire.monitoring.bus_tick import sample_of

LOG_EVERY_S = 60.0


class BusErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """As shown in the status.

    Attributes:
        count: Since the start of this process.
        last_sample: Beginning of the latest one, printable; None if there was none.
        last_reason: Why it was refused.
        last_at: When, Unix seconds.
    """

    count: int = 0
    last_sample: str | None = None
    last_reason: str | None = None
    last_at: float | None = None


class BusErrors:
    """The counter."""

    def __init__(self) -> None:
        self.total = 0
        self._payload = b""
        self._reason = ""
        self._at = 0.0
        self._logged = 0
        self._next_log: float | None = None

    def count(self, payload: bytes, reason: str, now: float) -> None:
        """Count one malformed message. ``now`` is Unix seconds."""
        self.total += 1
        # Cut here, so that a huge message is not kept alive; made printable only when somebody looks.
        self._payload = bytes(payload[:200])
        self._reason = reason[:200]
        self._at = now

    def report(self) -> BusErrorReport:
        """Return count and latest sample."""
        if not self.total:
            return BusErrorReport()
        return BusErrorReport(
            count=self.total, last_sample=sample_of(self._payload), last_reason=self._reason, last_at=self._at
        )

    def due(self, mono: float) -> int:
        """Return how many new errors one log line should report now (0: none), at most one line per minute."""
        fresh = self.total - self._logged
        if not fresh or (self._next_log is not None and mono < self._next_log):
            return 0
        self._logged = self.total
        self._next_log = mono + LOG_EVERY_S
        return fresh
