"""The web side of a process: the door, the pages, the admin channel, health and metrics, on one port.

It must not hold a feed: it watches the bus, and asks the feed by messages.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine, Mapping, MutableMapping
from functools import partial
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.routing import Mount

from tidewire import __version__
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.app.alert_source import GatheredSource
from tidewire.app.alerts_side import AlertsSide
from tidewire.app.broker import bus_ready
from tidewire.app.dashboards_side import DashboardsSide
from tidewire.app.database import Storage
from tidewire.app.feed_call import FeedCall
from tidewire.app.hub_side import HubSide
from tidewire.app.vitals_checks import vitals_checks
from tidewire.app.vitals_side import VitalsSide
from tidewire.bus.fenced import FencedBus
from tidewire.core import tracing
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.core.loop_watch import LoopWatch
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.links import Links
from tidewire.market.routes import market_router
from tidewire.monitoring.admin_namespace import AdminNamespace
from tidewire.monitoring.feed_monitor import FeedMonitor
from tidewire.monitoring.metrics import NodeCollector, StatusCollector, flat, new_registry
from tidewire.monitoring.routes import monitoring_router
from tidewire.settings import Settings
from tidewire.store.records import ActivityEntry
from tidewire.vitals.checks import Check as VitalsCheck
from tidewire.web.context import HttpCounters
from tidewire.web.health import Check, Insiders, health_router
from tidewire.web.http import create_http
from tidewire.web.pages import PageSettings, pages_router, static_mount
from tidewire.web.security import HttpSecurity
from tidewire.web.server import WebServer
from tidewire.web.session import session_token_from_scope
from tidewire.web.socketio_server import HardenedServer, create_socketio
from tidewire.web.templating import Templates

log = structlog.get_logger(__name__)

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
        self.ask_feed = FeedCall(bus, self.monitor, self._node)
        self.namespace = AdminNamespace(
            authenticate=self._authenticate, monitor=self.monitor, ask_feed=self.ask_feed, audit=self._audit
        )
        self._purge = WatchedLoop("purge", PURGE_EVERY_S, self._purge_old, clock)
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
        self.vitals = VitalsSide(self.hub_side.hub, self.hub_side.nodes, lambda: self.registry, clock)
        self._links = links
        self.hub_side.operators.banishment.close_also(self.namespace.end_barred)
        self.alerts = self._make_alerts(settings.redis_url)
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
        self._page_settings = self._told_to_pages(settings, data_notice, demo=demo)

    def _told_to_pages(self, settings: Settings, data_notice: str | None, *, demo: bool) -> PageSettings:
        return PageSettings(
            node=self._node,
            demo=demo,
            data_notice=data_notice,
            may_export=settings.export,
            exports_masked=settings.export_mask_addresses,
        )

    def _make_alerts(self, redis_url: str | None) -> AlertsSide:
        """Return the alerts of this process; their figures are those of all nodes."""
        instance = self.hub_side.nodes.node
        return AlertsSide(
            GatheredSource(self.vitals.gatherer),
            self.hub_side.hub,
            self._bus,
            self.storage.requests,
            self.storage.background,
            self._clock,
            redis_url=redis_url,
            node=self._node,
            instance=instance,
        )

    async def start(self) -> None:
        """Watch the bus, then open the port."""
        self.server.bind()
        app = self._build()
        self.ask_feed.start()
        self.monitor.start()
        self.namespace.start()
        self._purge.start()
        self.accounts.on_revoked(self._session_ended)
        self.hub_side.watch.on_user(self._user_changed)
        await self.hub_side.start()
        self.vitals.start()
        self.alerts.start()
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
        await self.alerts.stop()
        await self.vitals.stop()
        await self.hub_side.stop()
        await self._purge.stop()
        await self.namespace.stop()
        await self.monitor.stop()
        self.ask_feed.stop()
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
        templates, secret, bans = Templates(), self._secret_key, self.hub_side.bans
        door = create_http(
            version=__version__, accounts=self.accounts, templates=templates, rules=rules, secret_key=secret, bans=bans
        )
        people = self.hub_side.people
        door.answers.on_refused = partial(people.note_refused, "access.refused")
        self.namespace.on_refused = partial(people.note_refused, "message.refused")
        door.counters.answered = self.hub_side.analytics.answered
        self._socketio, sockets = create_socketio(rules.origin_allowed, clock=self._clock)
        self._socketio.register_namespace(self.namespace)
        token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
        registry = self._measure(door.counters)
        checks = self.checks = {
            "database": self.storage.watch.check,
            "bus": lambda: bus_ready(self._bus),
            "hub": self.hub_side.ready,
            "event_loop": self._watch.ready,
        }
        if self._links is not None:
            checks["room_log"] = self.hub_side.log_ready

        def csrf_token(request: Request) -> str:
            return door.csrf.token(request.state.principal.session_id)

        app = door.app
        app.include_router(health_router(checks, registry, Insiders(token)))
        app.include_router(monitoring_router(self.monitor))
        app.include_router(market_router(self.hub_side.feeder.symbols))
        self.vitals.watch_over(self._vitals_checks())
        dashboards = DashboardsSide(self.storage.requests, self.vitals.gatherer, self._clock)
        for router in [*self.hub_side.routes(), *self.vitals.routes(), *self.alerts.routes(), *dashboards.routes()]:
            app.include_router(router)
        app.include_router(pages_router(templates, self._page_settings, csrf_token, self.hub_side.asyncapi()))
        app.router.routes.append(static_mount(templates))
        app.router.routes.append(Mount("/socket.io", app=sockets))
        return app

    def _measure(self, http: HttpCounters) -> CollectorRegistry:
        """Return what /metrics serves."""
        registry = self.registry = new_registry(
            StatusCollector(
                feed=lambda: self.monitor.report().feed,
                bus=self._bus.status,
                # A counter that is there from the beginning has a rate from the beginning.
                responses=lambda: {500: 0, **http.by_status},
                counters=lambda: {
                    **flat("accounts", self.accounts.statistics()),
                    **flat("database", self.storage.counters()),
                    **flat("vitals", self.vitals.sampler.counters()),
                    **flat("traces", tracing.counters()),
                    "feed_fenced": self._bus.gate.refused,
                    "http_faults": http.faults,
                    "event_loop_stalls": self._watch.stalls,
                    "websocket_handshakes": http.websockets,
                },
                gauges=self._gauges,
            )
        )
        registry.register(self.hub_side.collector())
        registry.register(NodeCollector(self._node))
        self.vitals.register(registry, self._watch, http.by_route, self.hub_side.quotes.calculator.times)
        return registry

    def _vitals_checks(self) -> Mapping[str, VitalsCheck]:
        return vitals_checks(
            storage=self.storage,
            bus=self._bus,
            log=None if self._links is None else self._links.log,
            hub=self.hub_side.hub,
            watch=self._watch,
            sampler=self.vitals.sampler,
            gatherer=self.vitals.gatherer,
            ask_feed=lambda: self.ask_feed("ping", by="system-health"),
            feed=lambda: self.monitor.report().feed,
        )

    def _gauges(self) -> Mapping[str, float]:
        return {
            **flat("admin", self.namespace.statistics()),
            **flat("monitor", self.monitor.statistics()),
            **flat("database", self.storage.gauges()),
            **flat("vitals", self.vitals.gauges()),
            "event_loop_lag_recent_seconds": self._watch.recent_s(),
            **flat("alerts", self.alerts.statistics()),
            "event_loop_longest_stall_seconds": self._watch.longest_s,
            "event_loop_tasks": len(asyncio.all_tasks()),
        }

    async def _authenticate(self, scope: MutableMapping[str, Any]) -> Principal | None:
        token = session_token_from_scope(scope)
        principal = None if token is None else await self.accounts.load_session(token)
        if principal is not None:
            # Asked after the database, too: a ban may have come meanwhile.
            self.hub_side.bans.check_user(principal.user_id)
        return principal

    def _origin_allowed(self, origin: str) -> bool:
        return self._rules is not None and self._rules.origin_allowed(origin)

    def _session_ended(self, session_id: str) -> None:
        self._keep(self.namespace.end_session(session_id), "end-session")

    def _user_changed(self, user_id: int) -> None:
        self._keep(self.namespace.verify_user(user_id), "verify-user")

    async def _purge_old(self) -> None:
        try:
            await self.accounts.purge()
            await self.hub_side.bans.purge()
        except StoreError as exc:
            log.warning("purge_failed", code=exc.code, will_not="Nothing is lost: the next round deletes more.")

    def _keep(self, work: Coroutine[Any, Any, object], name: str) -> None:
        task = background(work, name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _audit(self, *, principal: Principal, action: str, details: dict[str, object], ip: str) -> None:
        entry = ActivityEntry(
            at=self._clock.time(),
            actor=principal.username,
            actor_id=principal.user_id,
            action=action,
            target="feed",
            details=msgspec.convert(details, dict[str, Any]),
            ip=ip,
        )
        await self.accounts.activity.write(entry)
