"""Watches the event loop from a thread, and says with the loop's stack when it stands still.

One call that does not return (a slow driver, a huge document) silences every connection of the process at once, and
code on the loop cannot report it. It must not know what the loop does.
Source: reliability.md 4, "event-loop stall", and bar R18.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque

import structlog

from tidewire.core.errors import Unavailable
from tidewire.core.histogram import Histogram
from tidewire.core.throttle import Throttle

# Ten beats a second cost nothing, and a stall is told within stall_s and one beat.
BEAT_S = 0.1
# Half a second is felt by every user of the process.
STALL_S = 0.5
# An orchestrator should send nobody here any more, neither now nor for a while afterwards.
UNREADY_S = 10.0
RECOVERED_S = 10.0
# A loop that stalls again and again is told once per this time, with a count.
TELL_EVERY_S = 10.0
# The longest delay of the last ten seconds is what somebody feels now.
RECENT_BEATS = 100

_log = structlog.get_logger("tidewire.loop")


class LoopWatch:
    """The watch of one loop. Start and stop it on that loop.

    Args:
        stall_s: From when on it is a stall.
        unready_s: Longest stall after which the process still counts as ready.

    Attributes:
        stalls: How often it stood still since start.
        longest_s: For how long at most, seconds.
        lag: By how much each beat came late, seconds.
    """

    def __init__(self, *, stall_s: float = STALL_S, unready_s: float = UNREADY_S) -> None:
        self._stall_s = stall_s
        self._unready_s = unready_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop_thread = 0
        # Written by the loop, read by the thread; one float is one atomic store.
        self._beat_at = 0.0
        self._throttle = Throttle(TELL_EVERY_S)
        self._long_stall_ended = float("-inf")
        self.stalls = 0
        self.longest_s = 0.0
        self.lag = Histogram()
        self._recent = deque[float](maxlen=RECENT_BEATS)

    def start(self) -> None:
        """Begin to watch the running loop. Raises RuntimeError if it is being watched."""
        if self._thread is not None:
            raise RuntimeError("the loop is being watched already")
        self._loop_thread = threading.get_ident()
        self._ended.clear()
        self._beat()
        self._thread = threading.Thread(target=self._watch, name="loop-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is done within a beat. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ended.set()
        thread.join()

    async def ready(self) -> float:
        """Pass unless the loop has lately stood still for long. Raises Unavailable.

        While it stands still nothing here is answered at all, which every orchestrator takes for "not ready".
        """
        since_s = time.monotonic() - self._long_stall_ended
        if since_s < RECOVERED_S:
            raise Unavailable(
                f"The event loop stood still for more than {self._unready_s:g} s until {since_s:.0f} s ago.",
                required_action="Find the call in the stack of the log line event_loop_stalled.",
                will_not="This node will not ask for new clients until it has run well for a while.",
                code="event_loop_stalled",
            )
        return 0.0

    def recent_s(self) -> float:
        """Return the longest delay of the last ten seconds, one that goes on included; seconds."""
        going_on_s = time.monotonic() - self._beat_at - BEAT_S if self._timer is not None else 0.0
        return max(0.0, going_on_s, *self._recent)

    def _beat(self) -> None:
        now = time.monotonic()
        stood_s = now - self._beat_at - BEAT_S if self._timer is not None else 0.0
        self._beat_at = now
        if self._timer is not None:
            self.lag.observe(max(0.0, stood_s))
            self._recent.append(stood_s)
        if stood_s > self._unready_s:
            self._long_stall_ended = now
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _watch(self) -> None:
        stalled_since: float | None = None
        woke = time.monotonic()
        while not self._ended.wait(BEAT_S):
            now = time.monotonic()
            # A thread that was late itself saw nothing: the whole process was stopped, or starved of its cores.
            late_s, woke = now - woke - BEAT_S, now
            beat_at = self._beat_at
            if stalled_since is not None and beat_at > stalled_since:
                self._resumed(beat_at - stalled_since)
                stalled_since = None
            if stalled_since is None and now - beat_at - BEAT_S > self._stall_s:
                stalled_since = beat_at
                self._stalled(now, now - beat_at, late_s)

    def _stalled(self, now: float, age_s: float, late_s: float) -> None:
        self.stalls += 1
        count = self._throttle.admit(now)
        if not count:
            return
        frame = sys._current_frames().get(self._loop_thread)
        _log.error(
            "event_loop_stalled",
            stalled_ms=round(age_s * 1000),
            watch_late_ms=round(late_s * 1000),
            stalls=count,
            stack="".join(traceback.format_stack(frame)) if frame is not None else "",
            required_action="Move the call at the end of the stack off the event loop; if the watch was as late as the "
            "loop, the process was stopped or had no CPU.",
            will_not="Tidewire will not interrupt the call; every connection of this process waits for it.",
        )

    def _resumed(self, stood_s: float) -> None:
        self.longest_s = max(self.longest_s, stood_s)
        _log.warning("event_loop_resumed", stood_still_ms=round(stood_s * 1000))
