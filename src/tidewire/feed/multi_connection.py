"""The Massive feed over several upstream connections: MultiConnectionManager.

Trades reach ``receive_ticks`` from within the socket's callback, as ticks, in order, each once. It must not know the
bus or any page. Source: contract.md section 3.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import structlog

from tidewire.core.clock import Clock, SystemClock
from tidewire.core.feed_status import FeedStatus
from tidewire.core.market import Tick
from tidewire.feed.account_limit import AccountLimit
from tidewire.feed.assignment import Assignment
from tidewire.feed.intake import Intake
from tidewire.feed.line import Line, Upstream
from tidewire.feed.line_group import LOG_EVERY_S, LineGroup
from tidewire.feed.line_metrics import GapWindow, LineMetrics
from tidewire.feed.massive import Event
from tidewire.feed.source import ConnectionInfo, LineConfig, LineTiming

__all__ = ["ConnectionInfo", "MultiConnectionManager", "timing_for"]

_log = structlog.get_logger(__name__)

# The vendor's delayed hosts lag by exactly this (feed-protocol.md 1.1, measured by a third party).
DELAYED_S: Final = 900.0


def timing_for(url: str, timing: LineTiming | None = None) -> LineTiming:
    """Return ``timing`` (or the defaults) with the expected delay of the vendor's delayed hosts."""
    chosen = timing if timing is not None else LineTiming()
    host = urlsplit(url).hostname or ""
    if chosen.expected_delay_s == 0.0 and host.startswith("delayed"):
        return dataclasses.replace(chosen, expected_delay_s=DELAYED_S)
    return chosen


class MultiConnectionManager(LineGroup):
    """Several lines to Massive. See FeedSource for the methods.

    Args:
        lines: All slots 1..max, enabled or not.
        url: ``wss://...``; the simulator's in the demo.
        api_key: Secret; never logged, masked in every text that comes back.
        channels: Event types to subscribe for each ticker.
        receive_ticks: Called with the ticks of each frame, from the socket's callback: it must be quick and must not
            block. If it raises, those ticks are lost, logged and counted as dropped.
        status_changed: See LineGroup.
        clock, rng: Time and chance; the machine's own by default.
        timing: Deadlines.
        failover: Whether a line that is down gives its tickers to the others until it is stable again.
    """

    def __init__(
        self,
        lines: Sequence[LineConfig],
        url: str,
        api_key: str,
        *,
        receive_ticks: Callable[[list[Tick]], None],
        status_changed: Callable[[FeedStatus], None],
        channels: Sequence[str] = ("T", "A"),
        clock: Clock | None = None,
        rng: random.Random | None = None,
        timing: LineTiming | None = None,
        failover: bool = True,
    ) -> None:
        clock = clock if clock is not None else SystemClock()
        timing = timing_for(url, timing)
        # Spreads retries in time; it guards no secret.
        chance = rng if rng is not None else random.Random()  # noqa: S311
        self._limit = AccountLimit(timing.limit_cooldown_s)
        upstream = Upstream(url, api_key, tuple(channels), self._limit, timing, clock, chance.random)
        assignment = Assignment([config.connection_id for config in lines if config.enabled])
        self._intake = Intake(assignment.owners)
        self._receive_ticks = receive_ticks
        self._now = clock
        self._next_tick_log = 0.0
        self._upstream_lines: dict[str, Line] = {}
        super().__init__(
            lines,
            assignment,
            lambda config: self._make_line(config, upstream),
            source="massive",
            status_changed=status_changed,
            clock=clock,
            timing=timing,
            failover=failover,
        )

    async def connect(self) -> bool:
        """Start all enabled lines; see LineGroup. A cooldown from before a ``disconnect`` does not count any more.

        A feed that lost its lease was thrown out by its own successor; when its turn comes again, it must not wait for
        a cooldown whose cause is gone.
        """
        if not self._running:
            self._limit.forget()
        return await super().connect()

    def gap_windows(self, connection_id: str) -> list[GapWindow]:
        """Return when a line's tickers did not flow, oldest first, at most 100; empty for an unknown line."""
        line = self._upstream_lines.get(connection_id)
        return list(line.metrics.gap_windows) if line is not None else []

    def _make_line(self, config: LineConfig, upstream: Upstream) -> Line:
        line = Line(config, upstream, self._receive_events, self._line_changed)
        self._upstream_lines[config.connection_id] = line
        return line

    def _unassigned(self) -> int:
        return self._intake.unassigned

    def _receive_events(
        self, line: str, metrics: LineMetrics, events: list[Event], frame: int, received: float
    ) -> None:
        clock = self._now
        ticks = self._intake.take(
            line,
            metrics,
            events,
            frame=frame,
            received=received,
            published=clock.time(),
            now=clock.monotonic(),
        )
        if not ticks:
            return
        try:
            self._receive_ticks(ticks)
        except Exception as error:  # noqa: BLE001  the root of a foreign callback: it must not cost the line its socket
            metrics.dropped += len(ticks)
            metrics.fail(f"{len(ticks)} ticks could not be passed on: {error}")
            # A bus that is down fails thousands of times a second; the counter is exact, the log is a sample.
            if clock.monotonic() >= self._next_tick_log:
                self._next_tick_log = clock.monotonic() + LOG_EVERY_S
                _log.exception("feed_tick_callback_fault", line=line, ticks=len(ticks))
