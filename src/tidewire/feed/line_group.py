"""All lines of a source together: who carries what, fail-over, pause, and one health report.

Every source is this class over its own kind of line. It must not know sockets, the wire, or who listens to the
callbacks. Source: contract.md section 3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

import msgspec
import structlog

from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import Conflict, InvalidRequest, NotFound
from tidewire.core.feed_status import FeedPause, FeedStatus, FrameInspection, LineHealth
from tidewire.feed.assignment import Assignment
from tidewire.feed.failover import Failover
from tidewire.feed.line_state import is_connected
from tidewire.feed.source import ConnectionInfo, FeedLine, LineConfig, LineTiming, clean_tickers
from tidewire.feed.universe import parse_ticker

_log = structlog.get_logger(__name__)

# The newest are what an operator acts on.
_MAX_WARNINGS: Final = 20
# Faults of a listener come with every change; one trace in ten seconds tells as much.
LOG_EVERY_S: Final = 10.0


class LineGroup:
    """See FeedSource.

    Args:
        configs: All slots, enabled or not, in order.
        assignment: Empty; shared with whatever turns events into ticks.
        make_line: Builds the line of an enabled slot.
        source: What the status calls the source.
        status_changed: Called with the status after every change of a state or of the assignment, at most once per
            turn of the event loop. An exception in it is logged and counted.
        clock: Time.
        timing: Deadlines of fail-over.
        failover: Whether a line that is down gives its tickers to others.
    """

    def __init__(
        self,
        configs: Sequence[LineConfig],
        assignment: Assignment,
        make_line: Callable[[LineConfig], FeedLine],
        *,
        source: Literal["massive", "synthetic"],
        status_changed: Callable[[FeedStatus], None],
        clock: Clock,
        timing: LineTiming,
        failover: bool,
    ) -> None:
        self._configs = {config.connection_id: config for config in configs}
        self._source = source
        self._status_changed = status_changed
        self._clock = clock
        self._assignment = assignment
        self._lines: dict[str, FeedLine] = {c.connection_id: make_line(c) for c in configs if c.enabled}
        self._failover = Failover(assignment, timing) if failover and len(self._lines) > 1 else None
        self._watcher: asyncio.Task[None] | None = None
        self._running = False
        self._pause: FeedPause | None = None
        self._notice: asyncio.Handle | None = None
        self._restarts: dict[str, asyncio.Task[None]] = {}
        self._warnings: list[str] = []
        # Sorted tickers by line, until the assignment changes.
        self._sorted: dict[str, list[str]] = {}
        self.callback_errors = 0
        self._next_log = 0.0
        self._pin_all()

    # -- life ---------------------------------------------------------------------------------------------------------

    async def connect(self) -> bool:
        """Start all enabled lines; True if at least one is connected when each has made its first attempt."""
        if not self._running:
            self._running = True
            if not self._lines:
                self._warn("No line is enabled: no data will come. Required: enable a WEBSOCKET_CONNECTION.")
            if self._pause is None:
                self._start_lines()
        if self._pause is not None:
            return False
        outcomes = await asyncio.gather(*(line.settle() for line in self._lines.values()))
        return any(outcomes)

    async def disconnect(self) -> None:
        """Stop everything and wait until nothing runs. Idempotent; ``connect`` may follow."""
        self._running = False
        await self._stop_lines("disconnected")
        if self._notice is not None:
            self._notice.cancel()
            self._notice = None
            self._notify_now()

    async def pause(self, by: str, reason: str = "") -> None:
        """Stop all lines for everybody until ``resume``. A second pause keeps the first one's author."""
        if self._pause is None:
            self._pause = FeedPause(by, self._clock.time(), reason)
            _log.warning("feed_paused", by=by, reason=reason)
        await self._stop_lines("paused")
        self._notify()

    async def resume(self) -> None:
        """End the pause; does not wait for the lines."""
        if self._pause is not None:
            self._pause = None
            _log.warning("feed_resumed")
            if self._running:
                self._start_lines()
            self._notify()

    # -- tickers ------------------------------------------------------------------------------------------------------

    def subscribe(self, tickers: Iterable[str]) -> bool:
        """Give new tickers to the least loaded lines; False (and a warning, and nothing done) if that cannot be."""
        wanted = clean_tickers(tickers)
        bad = [ticker for ticker in wanted if parse_ticker(ticker) is None]
        if bad:
            self._warn(f"Not subscribed: {', '.join(repr(t[:20]) for t in bad[:10])} cannot be tickers.")
            return False
        if not self._lines:
            self._warn(f"Not subscribed to {len(wanted)} tickers: no line is enabled.")
            return False
        rates = self._rates()
        up = [name for name, line in self._lines.items() if is_connected(line.state)]
        placed = self._assignment.place(wanted, rates, up or None)
        self._apply(set(placed.values()))
        return True

    def unsubscribe(self, tickers: Iterable[str]) -> None:
        """Stop carrying tickers; unknown ones are ignored."""
        released = self._assignment.release(clean_tickers(tickers))
        self._apply(set(released))

    def get_ticker_assignment(self, ticker: str) -> str | None:
        """Return the line that carries ``ticker``; None if nobody does."""
        return self._assignment.owner(ticker.strip().upper())

    def get_connection_tickers(self, connection_id: str) -> set[str]:
        """Return a copy of what a line carries; empty if there is no such line."""
        return self._assignment.tickers(connection_id)

    def reconnect(self, connection_id: str) -> None:
        """End a line's connection and begin anew in the background. Raises NotFound or Conflict."""
        line = self._line(connection_id)
        if not self._running or self._pause is not None:
            raise Conflict(
                "The feed is paused or not running.",
                required_action="Resume the feed first.",
                will_not="No line is connected while the feed is stopped for everybody.",
                code="feed_not_running",
            )
        before = self._restarts.get(connection_id)
        if before is None or before.done():
            _log.warning("feed_line_reconnect", line=connection_id)
            self._restarts[connection_id] = background(self._restart(line), "feed-reconnect")

    def move(self, ticker: str, connection_id: str) -> None:
        """Make ``connection_id`` the home of a ticker that is carried already. Raises NotFound or InvalidRequest."""
        self._line(connection_id)
        symbol = ticker.strip().upper()
        if parse_ticker(symbol) is None:
            raise InvalidRequest(
                f"{ticker[:20]!r} cannot be a ticker.",
                required_action="Name one ticker as the page shows it.",
                will_not="Nothing is moved.",
            )
        before = self._assignment.move(symbol, connection_id)
        if before is None:
            raise NotFound(
                f"No line carries {symbol}.",
                required_action="Add it to a universe or to a connection's symbols.",
                will_not="Moving does not subscribe to new tickers.",
            )
        if before != connection_id:
            _log.warning("feed_ticker_moved", ticker=symbol, old=before, new=connection_id)
            if self._failover is not None:
                self._failover.moved(self._clock.monotonic(), symbol, before, connection_id)
            self._apply({before, connection_id})

    # -- reports ------------------------------------------------------------------------------------------------------

    def health(self) -> FeedStatus:
        """Return contract.md section 3 as a struct."""
        slots = {name: self._slot(config) for name, config in self._configs.items()}
        return FeedStatus(
            timestamp=self._clock.time(),
            source=self._source,
            total_connections=len(self._lines),
            connected_count=sum(1 for slot in slots.values() if slot.status == "connected"),
            total_ticks_received=sum(slot.message_count for slot in slots.values()),
            total_errors=sum(slot.error_count for slot in slots.values()) + self.callback_errors,
            unassigned_ticks=self._unassigned(),
            paused=self._pause,
            warnings=list(self._warnings),
            connections=slots,
        )

    def get_health_status(self) -> dict[str, Any]:
        """Return contract.md section 3 as builtins."""
        status: dict[str, Any] = msgspec.to_builtins(self.health())
        return status

    @property
    def connections(self) -> dict[str, ConnectionInfo]:
        """Snapshots of all slots by id."""
        return {
            name: ConnectionInfo(
                connection_id=name,
                name=slot.name,
                assigned_tickers=set(slot.tickers),
                status=slot.status,
                message_count=slot.message_count,
                error_count=slot.error_count,
                last_message_time=slot.last_message_time,
            )
            for name, slot in self.health().connections.items()
        }

    def inspect(self, connection_id: str, frame: int, symbol: str) -> FrameInspection:
        """Return the raw frame behind a tick. Raises NotFound when it has left the ring, or there is no such line."""
        return self._line(connection_id).inspect(frame, symbol)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _line(self, connection_id: str) -> FeedLine:
        line = self._lines.get(connection_id)
        if line is None:
            raise NotFound(
                f"There is no enabled line {connection_id[:40]!r}.",
                required_action="Choose an enabled connection.",
                will_not="No other line is taken instead.",
            )
        return line

    async def _restart(self, line: FeedLine) -> None:
        await line.stop("disconnected")
        line.start()

    def _unassigned(self) -> int:
        """Return how many ticks nobody owned; sources that can meet them say so."""
        return 0

    def _line_changed(self) -> None:
        """A line's state or warnings changed."""
        self._notify()

    def _warn(self, text: str) -> None:
        _log.warning("feed_warning", text=text)
        if text not in self._warnings:
            self._warnings.append(text)
            del self._warnings[:-_MAX_WARNINGS]
            self._notify()

    def _pin_all(self) -> None:
        for name in self._lines:
            config = self._configs[name]
            taken = []
            for ticker in clean_tickers(config.tickers):
                owner = self._assignment.pin(ticker, name)
                if owner != name:
                    taken.append(f"{ticker} (on {owner})")
            if taken:
                more = f" and {len(taken) - 10} more" if len(taken) > 10 else ""
                self._warnings.append(
                    f"{name}: {len(taken)} tickers stay on the connection that named them first: "
                    f"{', '.join(taken[:10])}{more}."
                )
        for name, line in self._lines.items():
            line.set_tickers(self._assignment.tickers(name))

    def _start_lines(self) -> None:
        for line in self._lines.values():
            line.start()
        if self._failover is not None and self._watcher is None:
            self._watcher = background(self._watch(self._failover), "feed-failover")

    async def _stop_lines(self, state: Literal["disconnected", "paused"]) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
        # A line that is being started anew is stopped after that, so that it does not come back behind our back.
        await asyncio.gather(*self._restarts.values(), return_exceptions=True)
        stops = (line.stop(state) for line in self._lines.values())
        await asyncio.gather(*stops, *([watcher] if watcher else []), return_exceptions=True)
        if self._failover is not None:
            self._apply(self._failover.reset())

    async def _watch(self, failover: Failover) -> None:
        while True:
            await self._clock.sleep(0.5)
            try:
                self._apply(failover.balance(self._clock.monotonic(), self._lines, self._rates()))
            except Exception:  # noqa: BLE001  the root of this task: fail-over must outlive a fault
                self.callback_errors += 1
                _log.exception("feed_failover_fault")

    def _apply(self, changed: Iterable[str]) -> None:
        """Tell the lines in ``changed`` what they carry now."""
        names = set(changed)
        for name in names:
            extra = self._failover.leaving(name) if self._failover is not None else set()
            self._lines[name].set_tickers(self._assignment.tickers(name) | extra)
        if names:
            self._sorted.clear()
            self._notify()

    def _rates(self) -> dict[str, float]:
        return {name: line.rate() for name, line in self._lines.items()}

    def _tickers(self, name: str) -> list[str]:
        found = self._sorted.get(name)
        if found is None:
            found = self._sorted[name] = sorted(self._assignment.tickers(name))
        return found

    def _slot(self, config: LineConfig) -> LineHealth:
        name = config.connection_id
        line = self._lines.get(name)
        if line is None:
            return LineHealth(
                name=config.name,
                status="disabled",
                enabled=False,
                universe_key=config.universe_key,
                warnings=list(config.warnings),
            )
        health = line.health(self._tickers(name))
        away = self._assignment.away(name)
        if away:
            text = f"{away} of its tickers are carried by other connections until it is stable again."
            return msgspec.structs.replace(health, warnings=[*health.warnings, text])
        return health

    def _notify(self) -> None:
        """Report once, on the next turn of the loop, however much changes in this one."""
        if self._notice is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:  # configured before the loop runs: nobody listens yet
                return
            self._notice = loop.call_soon(self._notify_now)

    def _notify_now(self) -> None:
        self._notice = None
        try:
            self._status_changed(self.health())
        except Exception:  # noqa: BLE001  a listener's fault must not stop the feed
            self.callback_errors += 1
            # The counter is exact, the log is a sample.
            if self._clock.monotonic() >= self._next_log:
                self._next_log = self._clock.monotonic() + LOG_EVERY_S
                _log.exception("feed_status_callback_fault")
