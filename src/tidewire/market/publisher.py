"""Puts what the feed hands up onto the bus: each tick as one JSON object, and the feed's health. It is the hot path.

It must not know lines or viewers. Ticks are at most once (docs/decisions/0003): if the bus refuses, they are counted,
said and dropped, and the feed is told by the BusError, so that its own counters agree.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec
import structlog

from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.feed_status import FEED_STATUS_CHANNEL, FeedStatus
from tidewire.core.market import TICK_CHANNEL, Tick
from tidewire.core.throttle import Throttle
from tidewire.core.watched_loop import WatchedLoop

# A page that opens learns of the feed within a second, and a silent feed shows as silent.
STATUS_EVERY_S = 1.0

log = structlog.get_logger(__name__)


class MarketPublisher:
    """Publishes ticks and status.

    Args:
        bus: Where to.
        clock: For the status loop and log limits.
        places: Whether to give each tick its place, so that the rooms of all processes have the same.
    """

    def __init__(self, bus: Bus, clock: Clock, *, places: bool = False) -> None:
        self._bus = bus
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        self._throttle = Throttle()
        self._loop: WatchedLoop | None = None
        # One feed process publishes at a time; whoever takes over starts a new epoch.
        self._epoch = f"f-{secrets.token_hex(6)}" if places else ""
        self._offsets: dict[str, int] = {}
        self.published = 0
        self.dropped = 0
        self.status_refused = 0

    def receive_ticks(self, ticks: list[Tick]) -> None:
        """Publish ``ticks``, in order, in one call of the bus.

        Raises:
            BusError: The bus refused; all of them are dropped and counted.
        """
        try:
            if self._epoch:
                self._bus.publish(TICK_CHANNEL, [self._placed(tick) for tick in ticks])
            else:
                # One list comprehension over a bound method: the fastest honest way to make one message per tick.
                self._bus.publish(TICK_CHANNEL, [self._encode(tick) for tick in ticks])
        except BusError as exc:
            self.dropped += len(ticks)
            self._tell(len(ticks), exc)
            raise
        self.published += len(ticks)

    def receive_status(self, status: FeedStatus) -> None:
        """Publish the feed's health; if the bus refuses, the next second's report makes up for it."""
        try:
            self._bus.publish(FEED_STATUS_CHANNEL, [self._encode(status)])
        except BusError as exc:
            self.status_refused += 1
            self._tell(0, exc)

    def start(self, health: Callable[[], FeedStatus]) -> None:
        """Publish ``health()`` every second, from now on. Raises RuntimeError if it runs already."""
        if self._loop is not None:
            raise RuntimeError("the publisher runs already")
        self._loop = WatchedLoop("feed-status", STATUS_EVERY_S, lambda: self.receive_status(health()), self._clock)
        self._loop.start()

    async def stop(self) -> None:
        """Stop the reports. Idempotent."""
        if self._loop is not None:
            await self._loop.stop()
            self._loop = None

    def statistics(self) -> dict[str, int]:
        """Return the counters since start."""
        return {"published": self.published, "dropped": self.dropped, "status_refused": self.status_refused}

    def _placed(self, tick: Tick) -> bytes:
        # A tick that the bus refuses has used up its offset: a jump is what a lost tick looks like.
        offset = self._offsets[tick.symbol] = self._offsets.get(tick.symbol, 0) + 1
        return b'%b,"epoch":"%b","offset":%d}' % (self._encode(tick)[:-1], self._epoch.encode(), offset)

    def _tell(self, ticks: int, error: BusError) -> None:
        told = self._throttle.admit(self._clock.monotonic(), max(1, ticks))
        if told:
            log.error("publish_refused", count=told, dropped_total=self.dropped, **error.describe())
