"""Everything that is counted about one line. Pure; time is an argument.

Rates are over sliding windows; counters count since the process started. It must not know sockets or states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from tidewire.core.feed_status import Ending, LineHealth, Percentiles
from tidewire.feed.massive import Reject
from tidewire.feed.window import LatencyWindow, RateWindow

MAX_ENDINGS: Final = 20
MAX_GAPS: Final = 100


class GapWindow(msgspec.Struct, frozen=True):
    """Nothing was received for these tickers between two Unix times; ``until`` is None while the gap is open."""

    start: float
    until: float | None
    tickers: frozenset[str]


class LineMetrics:
    """Counters and windows of one line."""

    def __init__(self) -> None:
        self.message_count = 0
        self.error_count = 0
        self.frame_count = 0
        self.byte_count = 0
        self.parse_errors = 0
        self.unknown_events = 0
        self.duplicates = 0
        self.out_of_order = 0
        self.corrections = 0
        self.dropped = 0
        self.reconnects = 0
        self.gaps = 0
        self.gap_is_open = False
        self.last_message_time: float | None = None
        self.last_error: str | None = None
        self.last_bad_sample: str | None = None
        self.reject_reasons: dict[str, int] = {}
        self.endings: deque[Ending] = deque(maxlen=MAX_ENDINGS)
        self.gap_windows: deque[GapWindow] = deque(maxlen=MAX_GAPS)
        self.latency = LatencyWindow()
        self._messages = RateWindow(10)
        self._bytes = RateWindow(10)
        self._minute_events = RateWindow(60)
        self._minute_rejects = RateWindow(60)

    def count_frame(self, now: float, size: int, events: int) -> None:
        """Count one frame of ``size`` bytes with ``events`` good events, at ``now`` (monotonic seconds)."""
        self.frame_count += 1
        self.byte_count += size
        self._bytes.add(now, size)
        if events:
            self.message_count += events
            self._messages.add(now, events)
            self._minute_events.add(now, events)

    def count_rejects(self, now: float, rejects: list[Reject], mask: Callable[[str], str]) -> None:
        """Count malformed events and keep the last one's sample, without secrets (``mask``)."""
        self.parse_errors += len(rejects)
        self.error_count += len(rejects)
        self._minute_rejects.add(now, len(rejects))
        for reject in rejects:
            self.reject_reasons[reject.reason] = self.reject_reasons.get(reject.reason, 0) + 1
        self.last_bad_sample = mask(f"{rejects[-1].reason}: {rejects[-1].sample}")

    def count_unknown(self, words: list[str]) -> None:
        """Count events of types that Tidewire does not know; they are not errors."""
        self.unknown_events += len(words)

    def fail(self, message: str) -> None:
        """Count an error that a person should read."""
        self.error_count += 1
        self.last_error = message

    def open_gap(self, start: float, tickers: frozenset[str]) -> None:
        """Note that ``tickers`` stopped flowing at ``start`` (Unix seconds). An open gap stays as it is."""
        if self.gap_is_open:
            return
        self.gaps += 1
        self.gap_windows.append(GapWindow(start, None, tickers))
        self.gap_is_open = True

    def close_gap(self, until: float) -> None:
        """Note that data flows again at ``until`` (Unix seconds)."""
        if self.gap_is_open:
            last = self.gap_windows.pop()
            self.gap_windows.append(GapWindow(last.start, until, last.tickers))
            self.gap_is_open = False

    def rate(self, now: float) -> float:
        """Return events per second over the last 10 s."""
        return self._messages.rate(now)

    def byte_rate(self, now: float) -> float:
        """Return bytes per second over the last 10 s."""
        return self._bytes.rate(now)

    def malformed_share(self, now: float) -> float:
        """Return malformed events per event over the last minute, 0..1."""
        bad = self._minute_rejects.total(now)
        return bad / (bad + self._minute_events.total(now)) if bad else 0.0

    def percentiles(self, now: float) -> Percentiles:
        """Return the latency over the last 30 s."""
        return self.latency.percentiles(now)

    def fill(self, health: LineHealth, now: float) -> LineHealth:
        """Return ``health`` with everything that is measured here."""
        return msgspec.structs.replace(
            health,
            message_count=self.message_count,
            error_count=self.error_count,
            last_message_time=self.last_message_time,
            messages_per_second=round(self.rate(now), 3),
            bytes_per_second=round(self.byte_rate(now), 1),
            frame_count=self.frame_count,
            byte_count=self.byte_count,
            reconnects=self.reconnects,
            last_error=self.last_error,
            latency_ms=self.percentiles(now),
            gaps=self.gaps,
            duplicates=self.duplicates,
            out_of_order=self.out_of_order,
            corrections=self.corrections,
            parse_errors=self.parse_errors,
            last_bad_sample=self.last_bad_sample,
            dropped=self.dropped,
            endings=list(self.endings),
        )
