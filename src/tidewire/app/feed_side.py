"""The feed side of a process: a source, and what carries its ticks, health and commands over the bus.

It must not know pages or accounts: what web processes learn of the feed, they learn from the bus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.feed.multi_connection import MultiConnectionManager
from tidewire.feed.single_connection import MassiveWebSocketClient
from tidewire.feed.source import FeedSource, LineConfig
from tidewire.feed.synthetic import SyntheticFeed
from tidewire.market.commands import FeedCommands
from tidewire.market.publisher import MarketPublisher
from tidewire.settings import Settings

log = structlog.get_logger(__name__)


class FeedSide:
    """One running feed.

    Args:
        lines: Every slot, from ``plan_lines``.
    """

    def __init__(self, settings: Settings, bus: Bus, clock: Clock, lines: Sequence[LineConfig]) -> None:
        self.publisher = MarketPublisher(bus, clock, places=settings.redis_url is not None)
        self.source = _source(settings, lines, self.publisher, clock)
        self._commands = FeedCommands(bus, self.source)
        self._connecting: asyncio.Task[bool] | None = None

    async def start(self) -> None:
        """Answer commands, report health, and begin to connect; a venue that is down is shown, and tried for ever."""
        self._commands.start()
        self.publisher.start(self.source.health)
        # A mute venue holds the first attempt for half a minute; nothing else may wait for it.
        self._connecting = asyncio.create_task(self.source.connect(), name="feed-connect")
        self._connecting.add_done_callback(_tell_failure)

    async def stop(self) -> None:
        """Disconnect first, so that the last report says so. Idempotent."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        await self.source.disconnect()
        await self._commands.stop()
        await self.publisher.stop()


def _tell_failure(task: asyncio.Task[bool]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("feed_connect_failed", exc_info=task.exception())


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
