"""What a line asks itself once a second: is the peer alive, is data flowing, is it good? Pure; time is an argument.

It must not act: it says what should be done.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tidewire.core.errors import UpstreamError
from tidewire.core.feed_status import LineState
from tidewire.feed.line_metrics import LineMetrics
from tidewire.feed.line_state import Vitals, judge
from tidewire.feed.session_calendar import in_session
from tidewire.feed.source import LineTiming
from tidewire.feed.topic_ledger import TopicLedger
from tidewire.feed.window import SilenceWatch

# A line with a frame per second on average is busy enough that a minute without any is a fault, not a quiet market.
BUSY_GAP_S: Final = 1.0
# Doubling the patience with a mute venue stops at 2**4 = 16 times.
_MAX_MUTES: Final = 4


class Verdict(msgspec.Struct, frozen=True):
    """What to do now.

    Attributes:
        state: Where the connected line stands.
        ping: Ask the peer for a sign of life.
        end: Why to end the connection; None to stay.
        steady: Things go well enough to count towards forgetting failures.
    """

    state: LineState
    ping: bool
    end: UpstreamError | None
    steady: bool


class LineWatch:
    """Memory between two looks. ``silence`` is told of each frame with data.

    Args:
        timing: Deadlines.
    """

    def __init__(self, timing: LineTiming) -> None:
        self.silence = SilenceWatch()
        self._timing = timing
        self._began = 0.0
        self._heard = 0
        self._heard_at = 0.0
        self._pinged_at: float | None = None
        self._frames_seen = 0
        self._mutes = 0

    def begin(self, now: float, heard: int) -> None:
        """A connection was authenticated at ``now`` (monotonic seconds), after ``heard`` frames."""
        self._began = now
        self._heard = heard
        self._heard_at = now
        self._pinged_at = None
        self.silence.connect(now)

    def examine(self, now: float, wall: float, heard: int, metrics: LineMetrics, ledger: TopicLedger) -> Verdict:
        """Look at the line.

        Args:
            now: Monotonic seconds.
            wall: Unix seconds.
            heard: Frames of any kind since the connection began.
            metrics: The line's counters.
            ledger: The line's topics.
        """
        silent_s = self.silence.silent_s(now)
        p99 = metrics.percentiles(now).p99
        state = judge(
            Vitals(
                has_topics=bool(ledger.wanted.keys() - ledger.refused),
                silent_s=silent_s,
                threshold_s=self.silence.threshold_s(),
                in_session=in_session(wall),
                malformed_share=metrics.malformed_share(now),
                lag_ms=None if p99 is None else p99 - self._timing.expected_delay_s * 1000.0,
            )
        )
        flowed = metrics.message_count != self._frames_seen
        self._frames_seen = metrics.message_count
        if flowed:
            self._mutes = 0
        ping, end = self._peer(now, heard)
        if end is None and state == "stale":
            end = self._mute(silent_s)
        return Verdict(state, ping, end, flowed or now - self._began >= self._timing.quiet_stable_s)

    def _peer(self, now: float, heard: int) -> tuple[bool, UpstreamError | None]:
        if heard != self._heard:
            self._heard, self._heard_at, self._pinged_at = heard, now, None
            return False, None
        if self._pinged_at is None:
            if now - self._heard_at < self._timing.ping_idle_s:
                return False, None
            self._pinged_at = now
            return True, None
        if now - self._pinged_at < self._timing.pong_s:
            return False, None
        text = f"The venue did not answer a ping within {self._timing.pong_s:g} s; the connection is half open."
        return False, UpstreamError(
            text,
            stage="stream",
            required_action="Check the network.",
            will_not="Tidewire will not wait for this connection any longer.",
            code="pong_timeout",
        )

    def _mute(self, silent_s: float) -> UpstreamError | None:
        mean = self.silence.mean_gap_s
        if mean is None or mean > BUSY_GAP_S or silent_s < self._timing.mute_s * 2.0**self._mutes:
            return None
        self._mutes = min(self._mutes + 1, _MAX_MUTES)
        text = f"The venue answers pings but has sent no data for {silent_s:.0f} s on a formerly busy line."
        return UpstreamError(
            text,
            stage="stream",
            required_action="Look at the venue's status page.",
            will_not="Tidewire will not invent the missing data.",
            code="mute",
        )
