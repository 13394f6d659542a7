"""A running /admin-ws: uvicorn on port 0, the real namespace and monitor, a bus in the test's own hands."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI

from tests.support.clock import HandClock
from tests.support.waiting import until
from tidewire.accounts.model import Principal, Role
from tidewire.bus.base import BusStatus, Receive
from tidewire.core.errors import StoreError
from tidewire.core.feed_status import (
    FEED_STATUS_CHANNEL,
    FeedReply,
    FeedStatus,
    FrameInspection,
    LineHealth,
)
from tidewire.core.market import TICK_CHANNEL
from tidewire.monitoring.admin_namespace import AdminNamespace
from tidewire.monitoring.feed_monitor import FeedMonitor
from tidewire.web.socketio_guard import SocketGuard, SocketLimits
from tidewire.web.socketio_server import HardenedServer, create_socketio
from tidewire.web.websocket_protocol import set_socket_limits, websocket_options

ORIGIN = "http://tidewire.test"


class HandBus:
    """A bus that delivers at once, in the publisher's own call."""

    def __init__(self) -> None:
        self._receivers: dict[str, list[Receive]] = {}

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Deliver to everybody who has subscribed."""
        for receive in list(self._receivers.get(channel, ())):
            receive(channel, payloads)

    def subscribe(self, channel: str, receive: Receive) -> HandSubscription:
        """Call ``receive`` for later messages."""
        self._receivers.setdefault(channel, []).append(receive)
        return HandSubscription(self._receivers[channel], receive)

    def status(self) -> BusStatus:
        """Always up."""
        return BusStatus(kind="memory", state="up", since=0.0)

    async def ping(self) -> float:
        """No distance at all."""
        return 0.0

    def subscribers(self) -> int:
        """How many subscriptions are open."""
        return sum(map(len, self._receivers.values()))


class HandSubscription:
    """One subscription of HandBus."""

    def __init__(self, receivers: list[Receive], receive: Receive) -> None:
        self._receivers, self._receive = receivers, receive

    def close(self) -> None:
        """Stop deliveries. Idempotent."""
        with contextlib.suppress(ValueError):
            self._receivers.remove(self._receive)


def tick_bytes(symbol: str = "AAPL", price: float = 100.0, **fields: object) -> bytes:
    """Return one bus message; ``fields`` override or add."""
    base = {
        "type": "market_tick",
        "symbol": symbol,
        "price": price,
        "volume": 10,
        "timestamp": 1_700_000_000.0,
        "source": "test",
    }
    return msgspec.json.encode({**base, **fields})


def feed_status(now: float = 1_700_000_000.0, **fields: Any) -> FeedStatus:
    """Return a status of two live lines and a disabled one: AAPL and MSFT on the first, TSLA on the second."""
    lines = {
        "connection_1": LineHealth(
            name="primary",
            status="connected",
            enabled=True,
            state="live",
            tickers=["AAPL", "MSFT"],
            assigned_tickers=2,
            message_count=10,
            messages_per_second=2.5,
            uptime_seconds=60.0,
            last_message_time=now,
        ),
        "connection_2": LineHealth(
            name="secondary", status="connected", enabled=True, state="live", tickers=["TSLA"], assigned_tickers=1
        ),
        "connection_3": LineHealth(name="tertiary", status="disabled", enabled=False),
    }
    base: dict[str, Any] = {
        "timestamp": now,
        "source": "massive",
        "total_connections": 2,
        "connected_count": 2,
        "total_ticks_received": 10,
        "total_errors": 0,
        "connections": lines,
    }
    return FeedStatus(**{**base, **fields})


def principal(**fields: Any) -> Principal:
    """Return an administrator whose session lasts; ``fields`` override."""
    base: dict[str, Any] = {
        "user_id": 1,
        "username": "ada",
        "role": Role.ADMIN,
        "permissions": frozenset({"feed:control"}),
        "session_id": "s-ada",
        "expires_at": 4e9,
    }
    return Principal(**{**base, **fields})


@dataclass
class Feed:
    """The feed process as a script: records commands, answers as told."""

    commands: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    reply: FeedReply = field(default_factory=lambda: FeedReply(id="x", ok=True, inspection=INSPECTION))
    fails: Exception | None = None

    async def __call__(self, op: str, **arguments: object) -> FeedReply:
        """Answer one command."""
        self.commands.append((op, arguments))
        if self.fails is not None:
            raise self.fails
        return self.reply


INSPECTION = FrameInspection(
    raw='[{"ev":"T"}]',
    raw_bytes=12,
    truncated=False,
    received=1_700_000_000.5,
    event_raw='{"ev":"T"}',
    decoded=None,
    verdict="valid",
)


@dataclass
class Accounts:
    """Who is behind which cookie, and the audit log."""

    cookies: dict[str, Principal | None] = field(default_factory=lambda: {"ada": principal()})
    down: bool = False
    asked: int = 0
    audit_down: bool = False
    audited: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    async def authenticate(self, scope: MutableMapping[str, Any]) -> Principal | None:
        """Read the ``session`` cookie of a handshake."""
        self.asked += 1
        if self.down:
            raise StoreError("the database is away")
        cookie = SimpleCookie(dict(scope["headers"]).get(b"cookie", b"").decode())
        return self.cookies.get(cookie["session"].value) if "session" in cookie else None

    async def audit(self, *, principal: Principal, action: str, details: dict[str, object], ip: str) -> None:
        """Write one line."""
        if self.audit_down:
            raise StoreError("the database is away")
        self.audited.append((principal.username, action, details))


@dataclass
class Admin:
    """The running server and everything around it."""

    port: int
    clock: HandClock
    bus: HandBus
    monitor: FeedMonitor
    namespace: AdminNamespace
    sio: HardenedServer
    guard: SocketGuard
    feed: Feed
    accounts: Accounts

    @property
    def http_url(self) -> str:
        """Where Socket.IO clients connect to."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where a raw WebSocket connects to."""
        return f"ws://127.0.0.1:{self.port}/socket.io/?EIO=4&transport=websocket"

    def publish(self, *ticks: bytes) -> None:
        """Put ticks on the bus."""
        self.bus.publish(TICK_CHANNEL, ticks)

    def publish_status(self, status: FeedStatus | None = None) -> None:
        """Put a feed status on the bus."""
        payload = msgspec.json.encode(status or feed_status(self.clock.time()))
        self.bus.publish(FEED_STATUS_CHANNEL, [payload])

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop turn until ``condition`` holds; a test's own deadline ends a wait in vain."""
        await until(condition, 60)


@contextlib.contextmanager
def listening() -> Iterator[socket.socket]:
    """A listening socket on a free port, so that clients can connect before the server has started to accept."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert set_socket_limits(listener)
        yield listener


@contextlib.asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serve an ASGI application with the hardened protocol; the port."""
    with listening() as listener:
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, timeout_graceful_shutdown=1, **websocket_options()
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def running_admin(*, limits: SocketLimits | None = None, clock: HandClock | None = None) -> AsyncIterator[Admin]:
    """Everything that /admin-ws needs, running; time stands still until the test moves it."""
    hand, bus, feed, accounts = clock or HandClock(), HandBus(), Feed(), Accounts()
    sio, guard = create_socketio(lambda origin: origin in (None, ORIGIN), limits=limits, clock=hand)
    monitor = FeedMonitor(bus=bus, clock=hand)
    namespace = AdminNamespace(authenticate=accounts.authenticate, monitor=monitor, ask_feed=feed, audit=accounts.audit)
    sio.register_namespace(namespace)
    app = FastAPI()
    app.mount("/socket.io", guard)
    async with serving(app) as port:
        monitor.start()
        namespace.start()
        try:
            yield Admin(port, hand, bus, monitor, namespace, sio, guard, feed, accounts)
        finally:
            await namespace.stop()
            await monitor.stop()
            await sio.shutdown()
