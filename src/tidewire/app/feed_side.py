"""The feed side of a process: a source, and what carries its ticks, health and commands over the bus.

It must not know pages or accounts: what web processes learn of the feed, they learn from the bus. With Redis it needs
the feed's lease, of which there is one: until it has it, it waits, and when it loses it, it ends every line.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Sequence

import structlog

from tidewire.bus.base import Bus
from tidewire.bus.lease import LeaseTiming
from tidewire.bus.lease_keeper import LeaseKeeper
from tidewire.bus.redis_lease import RedisLease
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import Unavailable
from tidewire.feed.multi_connection import MultiConnectionManager
from tidewire.feed.single_connection import MassiveWebSocketClient
from tidewire.feed.source import FeedSource, LineConfig
from tidewire.feed.synthetic import SyntheticFeed
from tidewire.market.commands import FeedCommands
from tidewire.market.publisher import MarketPublisher
from tidewire.market.standby import StandbyPost
from tidewire.settings import Settings

log = structlog.get_logger(__name__)


class FeedSide:
    """One feed: running, or waiting for its turn.

    Args:
        bus: Fenced (bus/fenced.py).
        lines: Every slot, from ``plan_lines``.
    """

    def __init__(self, settings: Settings, bus: Bus, clock: Clock, lines: Sequence[LineConfig]) -> None:
        self.node = settings.node_name
        self._changed = asyncio.Event()
        self._lease = _lease(settings, clock, self._changed.set)
        self.publisher = MarketPublisher(
            bus, clock, node=self.node, fence=self.fence, places=settings.redis_url is not None
        )
        self.source = _source(settings, lines, self.publisher, clock)
        self.commands = FeedCommands(bus, self.source, fence=self.fence)
        self._standby = StandbyPost(bus, clock, node=self.node, describe=self._why_we_wait)
        self._clock = clock
        self._leading = False
        self._connecting: asyncio.Task[bool] | None = None
        self._conductor: asyncio.Task[None] | None = None
        self.changes = 0

    def fence(self) -> int | None:
        """Return the number with which this feed leads: 0 where there can be only one, None while it must wait."""
        return 0 if self._lease is None else self._lease.fence()

    async def start(self) -> None:
        """Answer commands, report health, and begin to connect; a venue that is down is shown, and tried for ever."""
        # From the beginning to the end: one that loses the lease must still refuse what is meant for it.
        self.commands.start()
        if self._lease is None:
            await self._lead()
            return
        self._standby.start()
        self._lease.start()
        self._conductor = background(self._conduct(), "feed-conductor")

    async def stop(self) -> None:
        """Disconnect first, so that the last report says so; then let another take over. Idempotent."""
        if self._conductor is not None:
            self._conductor.cancel()
            await asyncio.gather(self._conductor, return_exceptions=True)
            self._conductor = None
        await self._end_lines()
        await self.commands.stop()
        await self.publisher.stop()
        await self._standby.stop()
        if self._lease is not None:
            await self._lease.stop()

    async def ready(self) -> float:
        """Pass while this feed leads, or waits for one that does. Raises Unavailable."""
        if self.fence() is None and self._lease is not None and not self._lease.holder:
            raise Unavailable(
                f"This feed does not lead, and knows of no other that does: {self._lease.reason}.",
                required_action="Look at Redis.",
                will_not="No ticks are published by this process until it holds the lease.",
            )
        return 0.0

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and whether it leads."""
        return {
            "leads": int(self.fence() is not None),
            "fence": self.fence() or 0,
            "changes": self.changes,
            "lease_failures": self._lease.failures if self._lease is not None else 0,
            **{f"publisher_{name}": value for name, value in self.publisher.statistics().items()},
            **{f"commands_{name}": value for name, value in self.commands.statistics().items()},
        }

    async def _conduct(self) -> None:
        """Follow the lease: one change after the other, so that starting and stopping never meet."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                if self.fence() is None:
                    await self._wait_for_turn()
                else:
                    await self._lead()
            except Exception:
                log.exception("feed_change_failed", leads=self.fence() is not None)
                await self._clock.sleep(1.0)
                self._changed.set()

    async def _lead(self) -> None:
        if self._leading:
            return
        self._leading = True
        self.changes += 1
        await self._standby.stop()
        # What an operator has told the leader before us still holds.
        if self._standby.paused is not None:
            await self.source.pause(self._standby.paused.by, self._standby.paused.reason)
        elif self._standby.has_heard:
            await self.source.resume()
        self.publisher.start(self.source.health)
        # A mute venue holds the first attempt for half a minute; nothing else may wait for it.
        self._connecting = asyncio.create_task(self.source.connect(), name="feed-connect")
        self._connecting.add_done_callback(_tell_failure)
        log.info("feed_leads", node=self.node, fence=self.fence())

    async def _wait_for_turn(self) -> None:
        if not self._leading:
            return
        self._leading = False
        await self._end_lines()
        await self.publisher.stop()
        self._standby.start()
        log.warning("feed_waits", node=self.node, **dict(zip(("holder", "reason"), self._why_we_wait(), strict=True)))

    async def _end_lines(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
            self._connecting = None
        await self.source.disconnect()

    def _why_we_wait(self) -> tuple[str, str]:
        return (self._lease.holder, self._lease.reason) if self._lease is not None else ("", "")


def _tell_failure(task: asyncio.Task[bool]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("feed_connect_failed", exc_info=task.exception())


def _lease(settings: Settings, clock: Clock, changed: Callable[[], None]) -> LeaseKeeper | None:
    if settings.redis_url is None:
        return None
    timing = LeaseTiming()
    # The node's name is for people; what follows makes it this process's own.
    owner = f"{settings.node_name} {os.getpid()} {secrets.token_hex(4)}"
    store = RedisLease(settings.redis_url, owner, ttl_s=timing.ttl_s)
    return LeaseKeeper(store, clock, changed, timing=timing)


def _source(settings: Settings, lines: Sequence[LineConfig], publisher: MarketPublisher, clock: Clock) -> FeedSource:
    if settings.use_synthetic_data:
        return SyntheticFeed(
            lines,
            rate=settings.synthetic_ticks_per_second,
            receive_ticks=publisher.receive_ticks,
            status_changed=publisher.receive_status,
            clock=clock,
        )
    assert settings.massive_api_key is not None  # noqa: S101 - load_settings demands it with USE_MASSIVE_API
    kind = MultiConnectionManager if settings.use_multi_connection else MassiveWebSocketClient
    return kind(
        lines,
        settings.feed_url,
        settings.massive_api_key.get_secret_value(),
        channels=settings.feed_channels,
        receive_ticks=publisher.receive_ticks,
        status_changed=publisher.receive_status,
        clock=clock,
    )
