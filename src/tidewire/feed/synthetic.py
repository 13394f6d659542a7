"""The built-in synthetic source: a seeded random walk per ticker, no network, behind the same interface.

For trying Tidewire out and for tests. Its ticks say ``source: synthetic``; it has no raw frames and never fails.
It must not be mistaken for a market: prices are invented.
"""

from __future__ import annotations

import asyncio
import math
import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import structlog

from tidewire.core.background import background
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import NotFound
from tidewire.core.feed_status import FeedStatus, FrameInspection, LineHealth, LineState
from tidewire.core.market import Tick
from tidewire.feed.assignment import Assignment
from tidewire.feed.line_group import LineGroup
from tidewire.feed.line_metrics import LineMetrics
from tidewire.feed.line_state import is_connected, move, status_of
from tidewire.feed.source import LineConfig, LineTiming

_log = structlog.get_logger(__name__)

# Ten steps a second look alive and stay far from the loop's resolution.
STEP_S: Final = 0.1
# One step's largest batch: a clock that jumped must not produce a flood.
MAX_BATCH: Final = 5_000
# 2 basis points per tick: some percent over an hour at one tick a second.
VOLATILITY: Final = 2e-4


class SyntheticLine:
    """One line of invented prices. See FeedLine.

    Args:
        config: The slot.
        seed: Prices and sizes follow from it, the slot and the tickers.
        rate: Ticks per second while it has tickers.
        clock: Time.
        receive_ticks: Called with the ticks of each step.
        changed: Called after each change of state.
    """

    def __init__(
        self,
        config: LineConfig,
        *,
        seed: int,
        rate: float,
        clock: Clock,
        receive_ticks: Callable[[list[Tick]], None],
        changed: Callable[[], None],
    ) -> None:
        self.config = config
        self.metrics = LineMetrics()
        self._rate = rate
        self._clock = clock
        self._receive_ticks = receive_ticks
        self._changed = changed
        # Invented prices need no secrecy, but must repeat with the seed.
        self._rng = random.Random(f"{seed}:{config.connection_id}")  # noqa: S311
        self._tickers: list[str] = []
        self._prices: dict[str, float] = {}
        self._state: LineState = "disconnected"
        self._since = clock.monotonic()
        self._since_wall = clock.time()
        self._task: asyncio.Task[None] | None = None

    @property
    def state(self) -> LineState:
        """The present state."""
        return self._state

    @property
    def state_since(self) -> float:
        """Monotonic seconds when the state began."""
        return self._since

    def start(self) -> None:
        """Begin in the background; a running line stays as it is."""
        if self._task is None:
            # The same path as a real line takes, so that the page's words mean the same.
            for state in ("connecting", "greeting", "authenticating", "subscribing", "live"):
                self._enter(state)
            self._task = background(self._run(), f"synthetic-{self.config.connection_id}")

    async def stop(self, state: Literal["disconnected", "paused"]) -> None:
        """End, wait until nothing of it runs, and be in ``state``. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._enter(state)

    async def settle(self) -> bool:
        """Return whether it runs: it cannot fail."""
        return self._task is not None

    def set_tickers(self, tickers: Iterable[str]) -> None:
        """Replace the tickers; a ticker that comes back goes on where it stopped."""
        self._tickers = sorted(tickers)

    def rate(self) -> float:
        """Return ticks per second over the sliding window."""
        return self.metrics.rate(self._clock.monotonic())

    def health(self, tickers: list[str]) -> LineHealth:
        """Describe the line, which owns ``tickers`` (sorted)."""
        now = self._clock.monotonic()
        connected = is_connected(self._state)
        health = LineHealth(
            name=self.config.name,
            status=status_of(self._state),
            enabled=True,
            state=self._state,
            state_since=self._since_wall,
            universe_key=self.config.universe_key,
            assigned_tickers=len(tickers),
            tickers=tickers,
            connected_since=self._since_wall if connected else None,
            uptime_seconds=round(now - self._since, 3) if connected else 0.0,
            warnings=list(self.config.warnings),
        )
        return self.metrics.fill(health, now)

    def inspect(self, frame: int, symbol: str) -> FrameInspection:
        """There are no frames. Raises NotFound, always."""
        raise NotFound(
            "The synthetic source has no raw frames.",
            required_action="Use the simulator or the real feed (USE_MASSIVE_API=true) to inspect frames.",
            will_not="No frame is invented.",
            code="frame_gone",
        )

    async def _run(self) -> None:
        owed = 0.0
        last = self._clock.monotonic()
        while True:
            await self._clock.sleep(STEP_S)
            now = self._clock.monotonic()
            owed = min(MAX_BATCH, owed + (now - last) * self._rate)
            last = now
            count = int(owed)
            owed -= count
            if count and self._tickers:
                self._step(count, now)

    def _step(self, count: int, now: float) -> None:
        wall = self._clock.time()
        ticks = [self._invent(self._rng.choice(self._tickers), wall) for _ in range(count)]
        self.metrics.count_frame(now, 0, count)
        self.metrics.last_message_time = wall
        self.metrics.latency.add(now, 0.0)
        try:
            self._receive_ticks(ticks)
        except Exception as error:  # noqa: BLE001  the root of a foreign callback
            self.metrics.dropped += count
            self.metrics.fail(f"{count} ticks could not be passed on: {error}")
            _log.exception("feed_tick_callback_fault", line=self.config.connection_id, ticks=count)

    def _invent(self, ticker: str, wall: float) -> Tick:
        price = self._prices.get(ticker)
        if price is None:
            # A start between 10 and 500 that depends on the name alone, so that it looks like the same stock each time.
            price = 10.0 + zlib.crc32(ticker.encode()) % 49_000 / 100.0
        price *= math.exp(self._rng.gauss(0.0, VOLATILITY))
        self._prices[ticker] = price
        shown = max(0.01, round(price, 2))
        size = float(self._rng.choice((1, 5, 10, 25, 50, 100, 100, 200, 500)))
        return Tick(ticker, shown, size, wall, "synthetic", self.config.connection_id, "T", wall, wall)

    def _enter(self, state: LineState) -> None:
        if state != self._state:
            self._state = move(self._state, state)
            self._since = self._clock.monotonic()
            self._since_wall = self._clock.time()
            self._changed()


class SyntheticFeed(LineGroup):
    """Invented prices on every enabled slot. See FeedSource for the methods.

    Args:
        lines: All slots 1..max, enabled or not.
        receive_ticks: Called with the ticks of each step, on the event loop.
        status_changed: See LineGroup.
        rate: Ticks per second over all enabled lines together, > 0.
        seed: The same seed and clock give the same ticks.
        clock: Time; the machine's own by default.
    """

    def __init__(
        self,
        lines: Sequence[LineConfig],
        *,
        receive_ticks: Callable[[list[Tick]], None],
        status_changed: Callable[[FeedStatus], None],
        rate: float = 100.0,
        seed: int = 1,
        clock: Clock | None = None,
    ) -> None:
        time = clock if clock is not None else SystemClock()
        enabled = [config.connection_id for config in lines if config.enabled]
        each = rate / max(1, len(enabled))
        super().__init__(
            lines,
            Assignment(enabled),
            lambda config: SyntheticLine(
                config,
                seed=seed,
                rate=each,
                clock=time,
                receive_ticks=receive_ticks,
                changed=self._line_changed,
            ),
            source="synthetic",
            status_changed=status_changed,
            clock=time,
            timing=LineTiming(),
            failover=False,
        )
