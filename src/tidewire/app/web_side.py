"""The web side of a process: the door, the pages, the admin channel, health and metrics, on one port.

It must not hold a feed: it watches the bus, and asks the feed by messages.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.routing import Mount

from tidewire import __version__
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.app.hub_side import HubSide
from tidewire.bus.base import Bus
from tidewire.bus.request import Requester
from tidewire.core.clock import Clock
from tidewire.core.feed_status import FEED_COMMAND_CHANNEL, FEED_REPLY_PREFIX, FeedCommand, FeedReply
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.links import Links
from tidewire.market.routes import market_router
from tidewire.monitoring.admin_namespace import AdminNamespace
from tidewire.monitoring.feed_monitor import FeedMonitor
from tidewire.monitoring.metrics import StatusCollector, new_registry
from tidewire.monitoring.routes import monitoring_router
from tidewire.settings import Settings
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry
from tidewire.web.health import Insiders, health_router
from tidewire.web.http import create_http
from tidewire.web.pages import PageSettings, pages_router, static_mount
from tidewire.web.security import HttpSecurity
from tidewire.web.server import WebServer
from tidewire.web.session import session_token_from_scope
from tidewire.web.socketio_server import HardenedServer, create_socketio
from tidewire.web.templating import Templates

# The feed answers from memory; past this it is not there, and the page says so.
ASK_TIMEOUT_S = 5.0
PURGE_EVERY_S = 600.0


class WebSide:
    """Everything that answers on the port.

    Args:
        secret_key: Signs form tokens and keys session digests.
        demo, data_notice: What the pages say about themselves and their data.
        links: What this process shares with others; None if it is the only one.
    """

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        database: Database,
        clock: Clock,
        *,
        secret_key: str,
        demo: bool,
        data_notice: str | None,
        links: Links | None = None,
    ) -> None:
        self._clock = clock
        self._bus = bus
        self._database = database
        self.accounts = Accounts(database, secret_key=secret_key, clock=clock)
        self.monitor = FeedMonitor(bus=bus, clock=clock)
        self._node = settings.node_name
        self._requester = Requester(bus, f"{FEED_REPLY_PREFIX}{self._node}:{secrets.token_hex(4)}")
        self.namespace = AdminNamespace(
            authenticate=self._authenticate, monitor=self.monitor, ask_feed=self._ask_feed, audit=self._audit
        )
        self._purge = WatchedLoop("purge", PURGE_EVERY_S, self._start_purge, clock)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._socketio: HardenedServer | None = None
        self._rules: HttpSecurity | None = None
        self.hub_side = HubSide(
            settings,
            bus,
            database,
            self.accounts,
            clock,
            secret_key=secret_key,
            origin_allowed=self._origin_allowed,
            links=links,
        )
        self._shares_rooms = links is not None
        self.server = WebServer(
            host=settings.host,
            port=settings.port,
            certificate=settings.tls_certificate,
            private_key=settings.tls_private_key,
            trusted_proxies=settings.trusted_proxies,
            websocket_protocol=self.hub_side.gateway.protocol_class(),
            http_protocol=self.hub_side.doorkeeper.protocol_class(),
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
        await self.hub_side.drain()
        await self._socketio.shutdown()
        await self.server.stop()
        await self.hub_side.stop()
        await self._purge.stop()
        await self.namespace.stop()
        await self.monitor.stop()
        self._requester.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)

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
        registry = new_registry(
            StatusCollector(
                feed=lambda: self.monitor.report().feed,
                bus=self._bus.status,
                responses=lambda: door.counters.by_status,
                counters=lambda: {
                    **_flat("accounts", self.accounts.statistics()),
                    "http_faults": door.counters.faults,
                    "websocket_handshakes": door.counters.websockets,
                },
                gauges=self._gauges,
            )
        )
        registry.register(self.hub_side.collector())
        checks = {"database": self._database.ping, "bus": self._bus.ping, "hub": self.hub_side.ready}
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
            **_flat("database_pool", self._database.statistics()),
        }

    async def _authenticate(self, scope: MutableMapping[str, Any]) -> Principal | None:
        token = session_token_from_scope(scope)
        return None if token is None else await self.accounts.load_session(token)

    def _origin_allowed(self, origin: str) -> bool:
        return self._rules is not None and self._rules.origin_allowed(origin)

    def _session_ended(self, session_id: str) -> None:
        self._keep(self.namespace.end_session(session_id), "end-session")

    def _start_purge(self) -> None:
        self._keep(self.accounts.purge(), "purge-sessions")

    def _keep(self, work: Any, name: str) -> None:
        task = asyncio.ensure_future(work)
        task.set_name(name) if isinstance(task, asyncio.Task) else None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_feed(
        self,
        op: Literal["pause", "resume", "inspect"],
        *,
        by: str,
        reason: str = "",
        connection_id: str = "",
        frame: int = 0,
        symbol: str = "",
    ) -> FeedReply:
        command = FeedCommand(
            id=secrets.token_hex(8),
            reply_to=self._requester.reply_channel,
            op=op,
            by=by,
            reason=reason,
            connection_id=connection_id,
            frame=frame,
            symbol=symbol,
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
