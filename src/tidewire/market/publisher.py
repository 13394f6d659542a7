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
from tidewire.core.fence import tail_of
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
        node: Name of this process, for the status.
        fence: Returns the number with which this feed leads (0 if it needs none), None while it must not publish.
        places: Whether to give each tick its place, so that the rooms of all processes have the same.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        *,
        node: str = "",
        fence: Callable[[], int | None] = lambda: 0,
        places: bool = False,
    ) -> None:
        self._node = node
        self._fence = fence
        self._places = places
        # Number of the leadership in which we publish, and what it adds to each tick.
        self._led, self._tail = 0, tail_of(0)
        self._bus = bus
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode
        self._throttle = Throttle()
        self._loop: WatchedLoop | None = None
        # One feed publishes at a time; each leadership, ours regained too, is a new epoch.
        self._epoch = _new_epoch()
        self._offsets: dict[str, int] = {}
        self.published = 0
        self.dropped = 0
        self.fenced = 0
        self.status_refused = 0

    def receive_ticks(self, ticks: list[Tick]) -> None:
        """Publish ``ticks``, in order, in one call of the bus.

        Raises:
            BusError: The bus refused, or another feed leads; all of them are dropped and counted.
        """
        try:
            fence = self._leading()
            if fence != self._led:
                self._led, self._tail = fence, tail_of(fence)
                self._epoch = _new_epoch()
                self._offsets.clear()
            # One list comprehension over a bound method: the fastest honest way to make one message per tick.
            if self._places:
                messages = [self._placed(tick) for tick in ticks]
            elif fence:
                tail = self._tail
                messages = [self._encode(tick)[:-1] + tail for tick in ticks]
            else:
                messages = [self._encode(tick) for tick in ticks]
            self._bus.publish(TICK_CHANNEL, messages)
        except BusError as exc:
            self.dropped += len(ticks)
            self._tell(len(ticks), exc)
            raise
        self.published += len(ticks)

    def receive_status(self, status: FeedStatus) -> None:
        """Publish the feed's health; if the bus refuses, the next second's report makes up for it."""
        try:
            stamped = msgspec.structs.replace(status, node=self._node, fence=self._leading())
            self._bus.publish(FEED_STATUS_CHANNEL, [self._encode(stamped)])
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
        return {
            "published": self.published,
            "dropped": self.dropped,
            "status_refused": self.status_refused,
            "fenced": self.fenced,
        }

    def _leading(self) -> int:
        """Return our number. Raises BusError if we do not lead; nothing of a replaced feed may be heard."""
        fence = self._fence()
        if fence is None:
            self.fenced += 1
            raise BusError(
                "This feed does not hold the lease.",
                required_action="None if another feed leads; otherwise look at Redis.",
                will_not="Its ticks are not published.",
                code="not_leader",
            )
        return fence

    def _placed(self, tick: Tick) -> bytes:
        # A tick that the bus refuses has used up its offset: a jump is what a lost tick looks like.
        offset = self._offsets[tick.symbol] = self._offsets.get(tick.symbol, 0) + 1
        return b'%b,"epoch":"%b","offset":%d%b' % (self._encode(tick)[:-1], self._epoch, offset, self._tail)

    def _tell(self, ticks: int, error: BusError) -> None:
        told = self._throttle.admit(self._clock.monotonic(), max(1, ticks))
        if told:
            log.error("publish_refused", count=told, dropped_total=self.dropped, **error.describe())


def _new_epoch() -> bytes:
    return f"f-{secrets.token_hex(6)}".encode()
