"""One process of Tidewire: database, bus, feed side, web side, started in that order and stopped in reverse.

It must not know what any of them does; ``cli`` decides which sides a process has.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from tidewire.app.broker import Broker, bus_ready
from tidewire.app.child import ParentWord
from tidewire.app.database import Storage, opened_storage
from tidewire.app.feed_side import FeedSide
from tidewire.app.lines import plan_lines
from tidewire.app.probe import Probe
from tidewire.app.span_export import SpanExport
from tidewire.app.web_side import WebSide
from tidewire.bus.fenced import FencedBus
from tidewire.bus.lease import LeaseTiming
from tidewire.bus.redis_lease import RedisLease
from tidewire.core.background import background
from tidewire.core.clock import SystemClock
from tidewire.core.feed_status import FEED_STATUS_CHANNEL
from tidewire.core.loop_watch import LoopWatch
from tidewire.core.market import TICK_CHANNEL
from tidewire.core.memory import GIVE_BACK_EVERY_S, give_back
from tidewire.core.watched_loop import WatchedLoop
from tidewire.monitoring.metrics import FeedSideCollector, NodeCollector, new_registry
from tidewire.settings import Settings
from tidewire.web.health import Check

log = structlog.get_logger(__name__)

# A process that begins on a busy machine may be slow itself; nobody waits for it yet.
START_TIMEOUT_S = 5.0


class Platform:
    """A running process.

    Args:
        settings: Checked settings with a secret key.
        with_feed, with_web: Which sides to run.
        demo, data_notice: What the pages say about themselves and their data.
        listener: A bound socket of a port that other processes serve too.
        number: Place among the processes of one machine (0: alone), for the port of its own metrics.
        settle: Called once everything is made, before anybody measures how late the loop is.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        with_feed: bool = True,
        with_web: bool = True,
        demo: bool = False,
        data_notice: str | None = None,
        listener: socket.socket | None = None,
        number: int = 0,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._settle = settle
        self._listener, self._number = listener, number
        self._probe: Probe | None = None
        self._settings = settings
        self._with_feed, self._with_web = with_feed, with_web
        self._demo, self._data_notice = demo, data_notice
        self._clock = SystemClock()
        self._stack = AsyncExitStack()
        self._watch = LoopWatch()
        self._memory = WatchedLoop("memory", GIVE_BACK_EVERY_S, give_back, self._clock)
        broker = Broker(settings, self._clock)
        self.bus = FencedBus(broker.bus, (TICK_CHANNEL, FEED_STATUS_CHANNEL), self._clock)
        self._links = broker.links(self.bus)
        self.feed: FeedSide | None = None
        self.web: WebSide | None = None
        self._spans = None if settings.otel_endpoint is None else SpanExport(settings.otel_endpoint, settings.node_name)
        self._heeding: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL people open; with the kernel's port if none was chosen."""
        if self.web is None:
            raise RuntimeError("this process serves no pages")
        base = self._settings.base_url
        return base if self._settings.port else f"{base.rsplit(':', 1)[0]}:{self.web.server.port}"

    @property
    def metrics_url(self) -> str | None:
        """Where this process alone answers for health and metrics; None if nowhere."""
        return None if self._probe is None else self._probe.url

    def heed(self, word: ParentWord, listener: socket.socket | None) -> None:
        """Do what the supervisor says: accept for another worker, or no more."""
        assert self.web is not None  # noqa: S101 - a feed is never asked
        server = self.web.server
        task = background(
            server.uncover(word.place) if listener is None else server.cover(word.place, listener), "cover"
        )
        self._heeding.add(task)
        task.add_done_callback(self._heeding.discard)

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
        # Stopped last, so that the drain is watched; started last, because importing, migrating and settling block on
        # purpose.
        self._stack.callback(self._watch.stop)
        if self._spans is not None:
            self._spans.start()
            self._stack.callback(self._spans.stop)
        storage = await self._stack.enter_async_context(opened_storage(settings.database_url, self._clock))
        await self.bus.start()
        self._stack.push_async_callback(self.bus.stop)
        if settings.redis_url is not None:
            self.bus.gate.raise_to(await _last_fence(settings.redis_url))
        if self._with_web:
            if self._links is not None:
                await self._links.log.start()
                self._stack.push_async_callback(self._links.log.stop)
            assert settings.secret_key is not None  # noqa: S101 - load_settings demands it outside the demo
            self.web = WebSide(
                settings,
                self.bus,
                storage,
                self._clock,
                self._watch,
                secret_key=settings.secret_key.get_secret_value(),
                demo=self._demo,
                data_notice=self._data_notice,
                listener=self._listener,
                links=self._links,
            )
            self._stack.push_async_callback(self.web.stop)
            await self.web.start()
            log.info("serving", url=self.url, node=settings.node_name)
        if self._with_feed:
            self.feed = FeedSide(settings, self.bus, self._clock, await plan_lines(settings, storage.requests))
            self._stack.push_async_callback(self.feed.stop)
            await self.feed.start()
        if settings.metrics_port is not None:
            self._probe = self._make_probe(storage)
            self._stack.push_async_callback(self._probe.stop)
            await self._probe.start()
            log.info("metrics", url=self.metrics_url, node=settings.node_name)
        self._settle()
        self._watch.start()
        self._memory.start()
        self._stack.push_async_callback(self._memory.stop)

    def _make_probe(self, storage: Storage) -> Probe:
        """Return this process's own port for health and metrics, with what its sides know."""
        checks: dict[str, Check] = {"database": storage.watch.check, "bus": lambda: bus_ready(self.bus)}
        registry = None
        if self.web is not None:
            checks |= self.web.checks
            registry = self.web.registry
        if self.feed is not None:
            checks["feed"] = self.feed.ready
            collector = FeedSideCollector(self.feed.statistics, self.bus.status if registry is None else None)
            if registry is None:
                registry = new_registry(collector)
                registry.register(NodeCollector(self._settings.node_name))
            else:
                registry.register(collector)
        assert registry is not None  # noqa: S101 - a process has at least one side
        return Probe(self._settings, self._number, checks, registry)


async def _last_fence(url: str) -> int:
    """Return the number of the newest feed, so that a process that has just begun does not believe an older one."""
    lease = RedisLease(url, "", ttl_s=LeaseTiming().ttl_s, timeout_s=START_TIMEOUT_S)
    try:
        return (await lease.look()).fence
    finally:
        await lease.close()
