"""Keeps one FeedView per web process up to date from the bus, and time running for it. It must not know sockets.

Whoever shows things to people (``Watcher``) is called from the two loops here: each FLUSH_EVERY_S to send, once a
second to sum up. Ticks that arrive in between cost one dictionary look-up and one ring entry each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.core.clock import Clock
from tidewire.core.feed_status import FEED_STANDBY_CHANNEL, FEED_STATUS_CHANNEL
from tidewire.core.market import TICK_CHANNEL
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.node_info import NodeShown
from tidewire.monitoring.bus_tick import Seen
from tidewire.monitoring.feed_report import FeedReport
from tidewire.monitoring.feed_view import FeedView
from tidewire.monitoring.history import History, Series
from tidewire.monitoring.viewer import FLUSH_EVERY_S

# Ticks gathered for one flush (500,000 ticks/s); beyond it the watcher takes them early, nothing is lost.
MAX_FRESH = 20_000


class Watcher(Protocol):
    """Who is called when there is something to show. No method may block or await."""

    def absorb(self, ticks: Sequence[Seen]) -> None:
        """Take new ticks, oldest first."""
        ...

    def flush(self) -> None:
        """Send what there is; every FLUSH_EVERY_S."""
        ...

    def second(self, second: int, points: Mapping[str, msgspec.Raw]) -> None:
        """Sum up ``second`` (Unix seconds); ``points`` are its encoded history points."""
        ...

    def status_changed(self, report: FeedReport) -> None:
        """Something that operators must know has changed."""
        ...


class FeedMonitor:
    """The monitor of one process.

    Args:
        bus: Where ticks and status come from.
        clock: Time.
    """

    def __init__(self, *, bus: Bus, clock: Clock) -> None:
        self.clock = clock
        self.view = FeedView(now=clock.time(), mono=clock.monotonic())
        self._bus = bus
        self._history = History()
        self._watcher: Watcher | None = None
        hear = {
            TICK_CHANNEL: self._receive_ticks,
            FEED_STATUS_CHANNEL: self._receive_status,
            FEED_STANDBY_CHANNEL: self._receive_standby,
        }
        self._listening = Listening(bus, hear)
        self._started: tuple[float, float] | None = None
        self._signature: tuple[object, ...] | None = None
        self._look_again = True
        self._nodes: Callable[[], Sequence[NodeShown]] = tuple
        self._loops = {
            "flush": WatchedLoop("flush", FLUSH_EVERY_S, self._flush, clock),
            "second": WatchedLoop("second", 1.0, self._second, clock, aligned=True),
        }
        self._loops_shown: dict[str, WatchedLoop] = dict(self._loops)
        self._log = structlog.get_logger("tidewire.monitoring")

    def start(self) -> None:
        """Subscribe and start the loops; the first history point is this second's. Raises RuntimeError if started."""
        if self._started is not None:
            raise RuntimeError("the feed monitor runs already")
        self._started = (self.clock.time(), self.clock.monotonic())
        collecting = self.view.collecting
        self.view = FeedView(now=self._started[0], mono=self._started[1])
        self.view.collecting = collecting
        self._listening.start()
        for loop in self._loops.values():
            loop.start()

    async def stop(self) -> None:
        """Unsubscribe, cancel the loops and wait for them. Idempotent."""
        self._listening.stop()
        for loop in self._loops.values():
            await loop.stop()
        self._started = None

    def attach(self, watcher: Watcher) -> None:
        """Set who is called. Raises RuntimeError if somebody is already."""
        if self._watcher is not None:
            raise RuntimeError("the feed monitor has a watcher already")
        self._watcher = watcher

    def watch_loop(self, loop: WatchedLoop) -> None:
        """Show another part's loop in the status as well."""
        self._loops_shown[loop.name] = loop

    def watch_nodes(self, nodes: Callable[[], Sequence[NodeShown]]) -> None:
        """Show the nodes in the status as well."""
        self._nodes = nodes

    def report(self) -> FeedReport:
        """Return the present state of feed, bus, nodes and loops."""
        loops = {name: loop.report() for name, loop in self._loops_shown.items()} if self._started else {}
        report = self.view.report(now=self.clock.time(), mono=self.clock.monotonic(), loops=loops)
        return replace(report, nodes=tuple(self._nodes()))

    def status(self) -> dict[str, Any]:
        """Return the status as plain JSON types: contract.md section 3 at top level, with additions."""
        plain: dict[str, Any] = msgspec.to_builtins(self.report().status())
        return plain

    def history(self) -> dict[str, Series]:
        """Return up to 15 minutes of points per connection."""
        return self._history.series()

    def statistics(self) -> dict[str, dict[str, int]]:
        """Return the sizes of everything that is kept."""
        return {"view": self.view.statistics(), "history": self._history.statistics()}

    def _receive_ticks(self, _: str, payloads: Sequence[bytes]) -> None:
        view = self.view
        view.receive_ticks(payloads, self.clock.time())
        if view.fresh_count > MAX_FRESH and self._watcher is not None:
            self._watcher.absorb(view.take_fresh())
        if view.errors.total:
            self._log_errors()

    def _receive_status(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self.view.receive_status(payload, now=self.clock.time(), mono=self.clock.monotonic())
        self._look_again = True
        self._log_errors()

    def _receive_standby(self, _: str, payloads: Sequence[bytes]) -> None:
        for payload in payloads:
            self.view.receive_standby(payload, now=self.clock.time(), mono=self.clock.monotonic())
        self._look_again = True

    def _flush(self) -> None:
        if self._look_again:
            self._look_again = False
            self._tell_status()
        if self._watcher is not None:
            self._watcher.flush()

    def _second(self) -> None:
        self._look_again = True
        self._log_errors()
        self.view.tick_second()
        started, mono = self._started or (self.clock.time(), self.clock.monotonic())
        # Counted on the monotonic clock, so that setting the machine's clock leaves no hole and no double second.
        second = int(started) + round(self.clock.monotonic() - mono)
        encoded = self._history.record(second, self.report().points())
        if self._watcher is not None:
            self._watcher.second(second, encoded)

    def _tell_status(self) -> None:
        report = self.report()
        signature = report.signature()
        if signature != self._signature:
            self._signature = signature
            if self._watcher is not None:
                self._watcher.status_changed(report)

    def _log_errors(self) -> None:
        fresh = self.view.errors.due(self.clock.monotonic())
        if fresh:
            report = self.view.errors.report()
            self._log.warning(
                "bus_message_malformed",
                new=fresh,
                total=report.count,
                reason=report.last_reason,
                sample=report.last_sample,
                required_action="Find the program that publishes them and correct it.",
                will_not="Tidewire will not show or pass on these messages.",
            )
