"""One process of Tidewire: database, bus, feed side, web side, started in that order and stopped in reverse.

It must not know what any of them does; ``cli`` decides which sides a process has.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack

import structlog

from tidewire.app.database import opened_database
from tidewire.app.feed_side import FeedSide
from tidewire.app.lines import plan_lines
from tidewire.app.web_side import WebSide
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_members import RedisMembers
from tidewire.core.clock import SystemClock
from tidewire.hub.links import Links
from tidewire.settings import Settings

log = structlog.get_logger(__name__)


class Platform:
    """A running process.

    Args:
        settings: Checked settings with a secret key.
        with_feed, with_web: Which sides to run.
        demo, data_notice: What the pages say about themselves and their data.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        with_feed: bool = True,
        with_web: bool = True,
        demo: bool = False,
        data_notice: str | None = None,
    ) -> None:
        self._settings = settings
        self._with_feed, self._with_web = with_feed, with_web
        self._demo, self._data_notice = demo, data_notice
        self._clock = SystemClock()
        self._stack = AsyncExitStack()
        self.bus: Bus = _bus(settings, self._clock)
        self._links = _links(settings, self.bus, self._clock)
        self.feed: FeedSide | None = None
        self.web: WebSide | None = None

    @property
    def url(self) -> str:
        """The URL people open; with the kernel's port if none was chosen."""
        if self.web is None:
            raise RuntimeError("this process serves no pages")
        base = self._settings.base_url
        return base if self._settings.port else f"{base.rsplit(':', 1)[0]}:{self.web.server.port}"

    async def start(self) -> None:
        """Start everything; on a failure stop what was started. Raises SettingsError, StoreError or BusError."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop in reverse order. Idempotent."""
        await self._stack.aclose()

    async def _start(self) -> None:
        settings = self._settings
        database = await self._stack.enter_async_context(opened_database(settings.database_url))
        await self.bus.start()
        self._stack.push_async_callback(self.bus.stop)
        if self._with_web:
            if self._links is not None:
                await self._links.log.start()
                self._stack.push_async_callback(self._links.log.stop)
            assert settings.secret_key is not None  # noqa: S101 - load_settings demands it outside the demo
            self.web = WebSide(
                settings,
                self.bus,
                database,
                self._clock,
                secret_key=settings.secret_key.get_secret_value(),
                demo=self._demo,
                data_notice=self._data_notice,
                links=self._links,
            )
            self._stack.push_async_callback(self.web.stop)
            await self.web.start()
            log.info("serving", url=self.url, node=settings.node_name)
        if self._with_feed:
            self.feed = FeedSide(settings, self.bus, self._clock, await plan_lines(settings, database))
            self._stack.push_async_callback(self.feed.stop)
            await self.feed.start()


def _bus(settings: Settings, clock: SystemClock) -> Bus:
    if settings.redis_url is None:
        return MemoryBus(clock)
    # Spreads retries of several processes in time; it guards no secret.
    return RedisBus(settings.redis_url, clock, random.Random())  # noqa: S311


def _links(settings: Settings, bus: Bus, clock: SystemClock) -> Links | None:
    if settings.redis_url is None:
        return None  # rooms of a single process remember by themselves
    log = RedisRoomLog(settings.redis_url, clock, random.Random())  # noqa: S311
    return Links(bus, log, RedisMembers(log.commands), settings.node_name)
