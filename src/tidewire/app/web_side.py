"""The web side of a process: the door, the pages, the admin channel, health and metrics, on one port.

It must not hold a feed: it watches the bus, and asks the feed by messages.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Coroutine, Mapping, MutableMapping
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.routing import Mount

from tidewire import __version__
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.app.broker import bus_ready
from tidewire.app.database import Storage
from tidewire.app.hub_side import HubSide
from tidewire.bus.fenced import FencedBus
from tidewire.bus.request import Requester
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError, Unavailable
from tidewire.core.feed_status import (
    FEED_COMMAND_CHANNEL,
    FEED_REPLY_PREFIX,
    FeedCommand,
    FeedOperation,
    FeedReply,
)
from tidewire.core.loop_watch import LoopWatch
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.links import Links
from tidewire.market.routes import market_router
from tidewire.monitoring.admin_namespace import AdminNamespace
from tidewire.monitoring.feed_monitor import FeedMonitor
from tidewire.monitoring.metrics import NodeCollector, StatusCollector, new_registry
from tidewire.monitoring.routes import monitoring_router
from tidewire.settings import Settings
from tidewire.store.records import ActivityEntry
from tidewire.web.health import Check, Insiders, health_router
from tidewire.web.http import create_http
from tidewire.web.pages import PageSettings, pages_router, static_mount
from tidewire.web.security import HttpSecurity
from tidewire.web.server import WebServer
from tidewire.web.session import session_token_from_scope
from tidewire.web.socketio_server import HardenedServer, create_socketio
from tidewire.web.templating import Templates

log = structlog.get_logger(__name__)

# The feed answers from memory; past this it is not there, and the page says so.
ASK_TIMEOUT_S = 5.0
PURGE_EVERY_S = 600.0
# Whoever was accepted just before a drain has this long to say what it wants; a browser that only keeps a connection in
# reserve says nothing, and must not hold a restart up.
HEAR_ACCEPTED_S = 2.0
HEAR_EVERY_S = 0.05


class WebSide:
    """Everything that answers on the port.

    Args:
        secret_key: Signs form tokens and keys session digests.
        demo, data_notice: What the pages say about themselves and their data.
        listener: A bound socket of a port that other processes serve too; without one the port is our own.
        links: What this process shares with others; None if it is the only one.
    """

    def __init__(
        self,
        settings: Settings,
        bus: FencedBus,
        storage: Storage,
        clock: Clock,
        watch: LoopWatch,
        *,
        secret_key: str,
        demo: bool,
        data_notice: str | None,
        listener: socket.socket | None = None,
        links: Links | None = None,
    ) -> None:
        self._shares_port = listener is not None
        self._clock = clock
        self._watch = watch
        self._bus = bus
        self.storage = storage
        self.accounts = Accounts(storage.requests, secret_key=secret_key, clock=clock)
        self.monitor = FeedMonitor(bus=bus, clock=clock)
        self._node = settings.node_name
        self._requester = Requester(bus, f"{FEED_REPLY_PREFIX}{self._node}:{secrets.token_hex(4)}")
        self.namespace = AdminNamespace(
            authenticate=self._authenticate, monitor=self.monitor, ask_feed=self.ask_feed, audit=self._audit
        )
        self._purge = WatchedLoop("purge", PURGE_EVERY_S, self._purge_sessions, clock)
        self.registry: CollectorRegistry | None = None
        self.checks: Mapping[str, Check] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._socketio: HardenedServer | None = None
        self._rules: HttpSecurity | None = None
        self.hub_side = HubSide(
            settings,
            bus,
            storage,
            self.accounts,
            clock,
            secret_key=secret_key,
            origin_allowed=self._origin_allowed,
            links=links,
        )
        self._shares_rooms = links is not None
        self.monitor.watch_nodes(self.hub_side.nodes.shown)
        self.server = WebServer(
            host=settings.host,
            port=settings.port,
            certificate=settings.tls_certificate,
            private_key=settings.tls_private_key,
            trusted_proxies=settings.trusted_proxies,
            websocket_protocol=self.hub_side.gateway.protocol_class(),
            http_protocol=self.hub_side.doorkeeper.protocol_class(),
            listener=listener,
        )
        self._settings = settings
        self._secret_key = secret_key
        self._page_settings = PageSettings(node=self._node, demo=demo, data_notice=data_notice)

    async def start(self) -> None:
        """Watch the bus, then open the port."""
        self.server.bind()
        app = self._build()
        self._requester.start()
        self.monitor.start()
        self.namespace.start()
        self._purge.start()
        self.accounts.on_revoked(self._session_ended)
        await self.hub_side.start()
        await self.server.start(app)

    async def stop(self) -> None:
        """Send the hub's clients away, close the port and every connection, then stop watching. Idempotent."""
        if self._socketio is None:
            # The port was not to be had, so nothing else has been started.
            await self.server.stop()
            return
        if self._shares_port:
            # On a port of our own newcomers are told that we end; on a shared one somebody else takes them.
            self.server.stop_accepting()
            await self._hear_accepted()
        await self.hub_side.drain()
        await self._socketio.shutdown()
        await self.server.stop()
        await self.hub_side.stop()
        await self._purge.stop()
        await self.namespace.stop()
        await self.monitor.stop()
        self._requester.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hear_accepted(self) -> None:
        """Handle whoever was accepted before the port was left to others: nobody else can answer them any more."""
        until = self._clock.monotonic() + HEAR_ACCEPTED_S
        while True:
            # At least once: what the kernel has accepted reaches its protocol in a later turn of the loop.
            await self._clock.sleep(HEAR_EVERY_S)
            if not self.hub_side.doorkeeper.unheard or self._clock.monotonic() >= until:
                return

    def _build(self) -> Any:
        """Return the ASGI application; ROUTES of every feature stand here."""
        settings = self._settings
        origins = settings.allowed_origins or ((settings.public_url.rstrip("/"),) if settings.public_url else ())
        rules = self._rules = HttpSecurity.build(
            host=settings.host,
            port=self.server.port,
            tls=settings.tls_certificate is not None,
            allowed_origins=origins,
        )
        templates = Templates()
        door = create_http(
            version=__version__, accounts=self.accounts, templates=templates, rules=rules, secret_key=self._secret_key
        )
        self._socketio, sockets = create_socketio(rules.origin_allowed, clock=self._clock)
        self._socketio.register_namespace(self.namespace)
        token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
        registry = self.registry = new_registry(
            StatusCollector(
                feed=lambda: self.monitor.report().feed,
                bus=self._bus.status,
                responses=lambda: door.counters.by_status,
                counters=lambda: {
                    **_flat("accounts", self.accounts.statistics()),
                    **_flat("database", self.storage.counters()),
                    "feed_fenced": self._bus.gate.refused,
                    "http_faults": door.counters.faults,
                    "event_loop_stalls": self._watch.stalls,
                    "websocket_handshakes": door.counters.websockets,
                },
                gauges=self._gauges,
            )
        )
        registry.register(self.hub_side.collector())
        registry.register(NodeCollector(self._node))
        checks = self.checks = {
            "database": self.storage.watch.check,
            "bus": lambda: bus_ready(self._bus),
            "hub": self.hub_side.ready,
            "event_loop": self._watch.ready,
        }
        if self._shares_rooms:
            checks["room_log"] = self.hub_side.log_ready

        def csrf_token(request: Request) -> str:
            return door.csrf.token(request.state.principal.session_id)

        app = door.app
        app.include_router(health_router(checks, registry, Insiders(token)))
        app.include_router(monitoring_router(self.monitor))
        app.include_router(market_router(self.hub_side.feeder.symbols))
        for router in self.hub_side.routes():
            app.include_router(router)
        app.include_router(pages_router(templates, self._page_settings, csrf_token, self.hub_side.asyncapi()))
        app.router.routes.append(static_mount(templates))
        app.router.routes.append(Mount("/socket.io", app=sockets))
        return app

    def _gauges(self) -> Mapping[str, float]:
        return {
            **_flat("admin", self.namespace.statistics()),
            **_flat("monitor", self.monitor.statistics()),
            **_flat("database", self.storage.gauges()),
            "event_loop_longest_stall_seconds": self._watch.longest_s,
            "event_loop_tasks": len(asyncio.all_tasks()),
        }

    async def _authenticate(self, scope: MutableMapping[str, Any]) -> Principal | None:
        token = session_token_from_scope(scope)
        return None if token is None else await self.accounts.load_session(token)

    def _origin_allowed(self, origin: str) -> bool:
        return self._rules is not None and self._rules.origin_allowed(origin)

    def _session_ended(self, session_id: str) -> None:
        self._keep(self.namespace.end_session(session_id), "end-session")

    async def _purge_sessions(self) -> None:
        try:
            await self.accounts.purge()
        except StoreError as exc:
            log.warning("session_purge_failed", code=exc.code, will_not="Nothing is lost: the next round deletes more.")

    def _keep(self, work: Coroutine[Any, Any, object], name: str) -> None:
        task = background(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask_feed(
        self,
        op: FeedOperation,
        *,
        by: str,
        reason: str = "",
        connection_id: str = "",
        frame: int = 0,
        symbol: str = "",
    ) -> FeedReply:
        """Send a command to the feed that leads; return its reply. Raises Unavailable or BusError if there is none."""
        report = self.monitor.report()
        if report.feed is None or report.silent_since is not None:
            raise Unavailable(
                "No feed is running: none has reported, or it has fallen silent.",
                required_action="Start `tidewire feed`, or look at its log and at the bus; then try again.",
                will_not="Nothing was sent; Tidewire will not do it later.",
                code="feed_absent",
            )
        command = FeedCommand(
            id=secrets.token_hex(8),
            reply_to=self._requester.reply_channel,
            op=op,
            by=by,
            reason=reason,
            connection_id=connection_id,
            frame=frame,
            symbol=symbol,
            fence=report.feed.fence,
        )
        answer = await self._requester.ask(
            FEED_COMMAND_CHANNEL, command.id, msgspec.json.encode(command), timeout_s=ASK_TIMEOUT_S
        )
        return msgspec.json.decode(answer, type=FeedReply)

    async def _audit(self, *, principal: Principal, action: str, details: dict[str, object]) -> None:
        entry = ActivityEntry(
            at=self._clock.time(),
            actor=principal.username,
            actor_id=principal.user_id,
            action=action,
            target="feed",
            details=msgspec.convert(details, dict[str, Any]),
        )
        await self.accounts.activity.write(entry)


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, float]:
    """Return nested counters under one-level names."""
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(f"{prefix}_{name}", value))
        else:
            flat[f"{prefix}_{name}"] = float(value)
    return flat
