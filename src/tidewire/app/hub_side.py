"""The hub's part of the web side: rooms, routes and jobs around it, who may come in, and how it ends.

It must not hold logic of its own. A feature that brings rooms adds a line to ``ROOMS``, its messages to ``MESSAGES``,
its loops to ``_jobs`` and its routes to ``routes``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, get_args

import msgspec
import structlog
from fastapi import APIRouter

from tidewire import __version__
from tidewire.accounts.api_keys import ApiKeys
from tidewire.accounts.authentication import Authentication
from tidewire.accounts.bans import Bans
from tidewire.accounts.http import Callers
from tidewire.accounts.logins import Logins
from tidewire.accounts.model import Principal
from tidewire.accounts.service import Accounts
from tidewire.accounts.tokens import ConnectionTokens
from tidewire.alerts import wire as alert_wire
from tidewire.analytics import rules as analytics_rules
from tidewire.analytics import wire as analytics_wire
from tidewire.app.analytics_side import AnalyticsSide
from tidewire.app.database import Storage
from tidewire.app.login_watch import REVIEW_EVERY_S, LoginWatch
from tidewire.app.operator_side import OperatorSide
from tidewire.app.people_side import PeopleSide
from tidewire.app.quotes_side import QuotesSide
from tidewire.app.reach import ReachWatch
from tidewire.app.used_tokens import UsedTokens
from tidewire.bus.base import Bus
from tidewire.bus.room_log import LogStatus
from tidewire.core import protocol
from tidewire.core.clock import Clock
from tidewire.core.errors import Unavailable
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.everywhere import Everywhere
from tidewire.hub.hub import Hub
from tidewire.hub.links import Links
from tidewire.hub.nodes import Nodes
from tidewire.hub.room import RoomRules
from tidewire.hub.switchboard import HubOptions
from tidewire.market import rules as market
from tidewire.market.feeder import RoomFeeder
from tidewire.monitoring import activity_watch, activity_wire
from tidewire.monitoring.connection_log import FLUSH_EVERY_S, ConnectionLog
from tidewire.monitoring.file_export import FileRules
from tidewire.monitoring.frame_verdict import FrameReader
from tidewire.monitoring.hub_metrics import HubCollector
from tidewire.quotes import rules as quote_rules
from tidewire.quotes import wire as quote_wire
from tidewire.quotes.plan_shelf import load_plans
from tidewire.settings import Settings
from tidewire.store.connections import Connections
from tidewire.store.records import ActivityEntry
from tidewire.vitals import rules as vital_rules
from tidewire.vitals import wire as vital_wire
from tidewire.web.asyncapi import asyncapi_document
from tidewire.web.gateway import Gateway, connection_cap
from tidewire.web.handshake import Policy
from tidewire.web.health import Passed
from tidewire.web.http_protocol import Doorkeeper
from tidewire.web.rooms_api import RoomsApi
from tidewire.web.session import SESSION_COOKIE
from tidewire.web.websocket_protocol import HardenedWebSocketProtocol

log = structlog.get_logger(__name__)

# Family of rooms -> how they behave; only these can be entered (who may is in accounts/grants.py).
ROOMS: dict[str, RoomRules] = {
    "market": market.RULES,
    "quote": quote_rules.RULES,
    quote_rules.LIST_FAMILY: quote_rules.LIST_RULES,
    analytics_rules.FAMILY: analytics_rules.RULES,
    "user": RoomRules(history_messages=200),
    vital_rules.MONITORING: vital_rules.RULES,
    vital_rules.PERFORMANCE: vital_rules.RULES,
    "app": RoomRules(presence=True),
    "public": RoomRules(presence=True),
    activity_wire.FAMILY: activity_watch.RULES,
}

# What is said on the socket: (by clients, by the server), for /asyncapi.json.
MESSAGES: tuple[tuple[type[msgspec.Struct], ...], tuple[type[msgspec.Struct], ...]] = (
    (
        *protocol.CLIENT_TYPES,
        *quote_wire.CLIENT_TYPES,
        *analytics_wire.CLIENT_TYPES,
        *vital_wire.CLIENT_TYPES,
        *activity_wire.CLIENT_TYPES,
    ),
    (
        *get_args(protocol.ServerMessage),
        market.TickMessage,
        *quote_wire.SERVER_TYPES,
        *analytics_wire.SERVER_TYPES,
        *vital_wire.SERVER_TYPES,
        *activity_wire.SERVER_TYPES,
        *alert_wire.SERVER_TYPES,
    ),
)

PURGE_EVERY_S = 3_600.0
# A drain of few clients need not take long: twenty a second are no storm for whoever takes them over.
DRAIN_PER_CLIENT_S = 0.05
# reliability.md bar R9 allows 30 s for the whole end and 15 % of the clients in any second.
DRAIN_MAX_S = 10.0
# The last ones to be closed get this long to answer the close frame, so that none of them sees a broken connection.
FAREWELL_S = 2.0


class HubSide:
    """The hub and everything around it that lives and dies with it. Make it on the running loop.

    Args:
        secret_key: Signs connection tokens and keys the digests of API keys.
        origin_allowed: Whether pages of an origin may connect.
        links: What this process shares with others; None if it is the only one.
    """

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        storage: Storage,
        accounts: Accounts,
        clock: Clock,
        *,
        secret_key: str,
        origin_allowed: Callable[[str], bool],
        links: Links | None = None,
    ) -> None:
        self._accounts, self._links, self._clock = accounts, links, clock
        self.keys = ApiKeys(storage.requests, secret_key=secret_key, clock=clock)
        self._used = UsedTokens(bus)
        self.tokens = ConnectionTokens(secret_key, clock, announce=self._used.announce)
        self.logins = Logins(storage.requests, clock, accounts.sessions.rules)
        self.bans = Bans(storage.requests, clock, storage.background)
        accounts.bar = self.keys.bar = self.bans.check_user
        rows, node = Connections(storage.background), settings.node_name
        self.log = ConnectionLog(rows, clock, node=node, look_up=lambda which: self.hub.connection(which))
        self.hub = Hub(
            clock=clock,
            scheduler=asyncio.get_running_loop(),
            authenticate=Authentication(accounts, self.keys, self.tokens, self.logins).of_credential,
            rules=ROOMS,
            options=HubOptions(allow_anonymous=settings.allow_anonymous),
            links=links,
            opened=self.log.opened,
            closed=self.log.closed,
        )
        reviewer = Logins(storage.background, clock, accounts.sessions.rules)
        self.watch = LoginWatch(self.hub, accounts, self.keys, reviewer, clock, bus if links is not None else None)
        self.reach = ReachWatch(bus, links.log if links is not None else None)
        self.nodes = self._meet_nodes(bus, settings.node_name)
        self.everywhere = Everywhere(self.nodes, self.hub)
        self.operators = self._meet_operators(settings, bus, Connections(storage.requests))
        self.hub.know_nodes(self.everywhere.connections_elsewhere, self.nodes.known)
        policy = Policy(
            origin_allowed=origin_allowed, cookie_name=SESSION_COOKIE, trusted_proxies=settings.trusted_proxies
        )
        cap, barred = connection_cap(), lambda ip: self.bans.bars(None, ip)
        self.gateway = Gateway(self.hub, policy, HardenedWebSocketProtocol, max_connections=cap, barred=barred)
        self.doorkeeper = Doorkeeper(cap, self.hub.connection_count)
        self.doorkeeper.shortcut = self.gateway.take_whole
        self.feeder = RoomFeeder(bus, self.hub)
        self.api = RoomsApi(self.hub, ROOMS, self.keys, self.tokens, clock)
        self.analytics = AnalyticsSide(self.hub, bus, storage.background, clock, node=settings.node_name)
        self.quotes = self._make_quotes(settings, bus, storage)
        self.people = PeopleSide(settings, storage, self.hub, self.everywhere, bus, accounts, clock, self._audit)
        self._jobs = [
            WatchedLoop("logins", REVIEW_EVERY_S, self.watch.review, clock),
            WatchedLoop("connection-log", FLUSH_EVERY_S, self.log.flush, clock),
            WatchedLoop("connection-purge", PURGE_EVERY_S, self.log.purge, clock),
        ]

    def _make_quotes(self, settings: Settings, bus: Bus, storage: Storage) -> QuotesSide:
        return QuotesSide(
            self.hub,
            bus,
            storage.requests,
            storage.background,
            Callers(self.keys),
            self._clock,
            plans=load_plans(settings.rating_plans),
            node=settings.node_name,
            stored=self.analytics.quote_stored,
            ended=self.analytics.calculation_ended,
        )

    def _meet_nodes(self, bus: Bus, name: str) -> Nodes:
        instance = None if self._links is None else self._links.instance
        count, reach = self.hub.connection_count, self.reach.now
        return Nodes(bus, self._clock, name, count=count, reach=reach, instance=instance)

    def _meet_operators(self, settings: Settings, bus: Bus, connections: Connections) -> OperatorSide:
        made = OperatorSide(
            self.nodes,
            self.hub,
            self.everywhere,
            bus,
            self._accounts,
            self.bans,
            self._clock,
            self._audit,
            ROOMS,
            connections.of_id,
            FrameReader(*MESSAGES),
            FileRules(allowed=settings.export, masked=settings.export_mask_addresses),
        )
        # With every review: a change that no other node has told of is found within seconds.
        self.watch.before = made.banishment.read
        return made

    def routes(self) -> list[APIRouter]:
        """Return the HTTP routes."""
        return [self.api.router(), *self.operators.routes(), *self.quotes.routes(), *self.people.routes()]

    def asyncapi(self) -> Mapping[str, object]:
        """Return the document of the messages."""
        client, server = MESSAGES
        return asyncapi_document(
            version=__version__, client=client, server=server, paths=tuple(self.gateway.policy.paths)
        )

    def collector(self) -> HubCollector:
        """Return the metrics."""
        return HubCollector(
            statistics=self.hub.statistics,
            refused=lambda: self.gateway.refused,
            counters={
                "hub_protocol_errors": lambda: self.gateway.protocol_errors,
                "http_late": lambda: self.doorkeeper.late,
                "http_refused": lambda: self.doorkeeper.refused,
                "http_oversized": lambda: self.doorkeeper.oversized,
                "api_published": lambda: self.api.published,
                "login_reviews_failed": lambda: self.watch.failed,
                "nodes_headcounts_asked_for": lambda: self.operators.headcount.asked,
                "api_key_touches_failed": lambda: self.keys.touches_failed,
            },
            groups={
                "hub": lambda: {"accepting": int(self.hub.accepting), "logins": self.hub.logins()},
                "login_review": self.watch.statistics,
                "market_rooms": self.feeder.statistics,
                "connection_log": self.log.statistics,
                "connection_tokens": self.tokens.statistics,
                "rooms_api": self.api.statistics,
                "nodes": self.nodes.statistics,
                "cluster": self.operators.headcount.statistics,
                "bans": self.bans.statistics,
                "quotes": self.quotes.statistics,
                "people": self.people.statistics,
                "analytics": self.analytics.statistics,
                "room_log": self._log_figures,
                "shared_rooms": lambda: self.hub.statistics().shared,
                "user_limit": lambda: self.hub.statistics().limit,
                "shared_presence": lambda: self.hub.statistics().presence,
                "account_changes": self.watch.changes_statistics,
            },
        )

    async def ready(self) -> float:
        """Pass while new clients are welcome. Raises Unavailable while the process is ending."""
        if not self.hub.accepting:
            raise Unavailable(
                "This node takes no new clients: it is being drained or shut down.",
                required_action="Use another node.",
                will_not="Tidewire will not take new clients here.",
                code="draining",
            )
        return 0.0

    async def log_ready(self) -> Passed:
        """Pass while rooms can be published to, with the last round trip and the shards that are away.

        Raises:
            Unavailable: No room can.
        """
        status = self._log_status()
        if status is not None and status.state == "down":
            raise Unavailable(
                f"The room log cannot be used (circuit {status.circuit}): {status.reason}.",
                required_action="Check the Redis or Valkey server.",
                will_not="Nothing is published to rooms that other nodes share until it answers.",
                code="broker_unavailable",
            )
        return Passed(0.0) if status is None else Passed(status.rtt_ms or 0.0, status.reason)

    def _log_status(self) -> LogStatus | None:
        return None if self._links is None else self._links.log.status()

    def _log_figures(self) -> dict[str, float]:
        status = self._log_status()
        if status is None:
            return {}
        return {
            "up": int(status.state != "down"),
            **{f"circuit_{name}": int(status.circuit == name) for name in ("closed", "open", "half_open")},
            "since_timestamp_seconds": status.since,
            **({} if status.rtt_ms is None else {"round_trip_seconds": status.rtt_ms / 1000}),
            "durable": int(status.durable),
            "calls": status.calls,
            "refused": status.refused,
            "unknown": status.unknown,
            "connects": status.connects,
            "state_losses": status.state_losses,
            "in_flight": status.in_flight,
            "redirected": status.redirected,
            "shards": len(status.shards),
            "shards_down": sum(shard.state == "down" for shard in status.shards),
        }

    async def start(self) -> None:
        """Keep time, feed rooms, and listen to what accounts say. Raises StoreError."""
        # First: who cannot know whom to keep out lets nobody in.
        await self.bans.read()
        await self.log.start()
        await self.hub.start()
        self._used.start(self.tokens)
        self.feeder.start()
        self.watch.listen()
        self.reach.start()
        await self.nodes.start()
        self.watch.listen_to_others()
        self.quotes.start()
        self.people.start()
        self.operators.start()
        self.analytics.start()
        for job in self._jobs:
            job.start()

    async def drain(self) -> None:
        """Send every client away kindly, in bounded time."""
        # First: an answer that goes on for minutes would hold up the end.
        await self.operators.traces.stop()
        # What an operator has begun is done here anyway.
        await self.operators.drains.stop()
        log.info("draining", connections=self.hub.connection_count(), will_not="Tidewire will not take new clients.")
        await self.hub.drain(min(DRAIN_MAX_S, self.hub.connection_count() * DRAIN_PER_CLIENT_S))
        until = self._clock.monotonic() + FAREWELL_S
        while self.hub.connection_count() and self._clock.monotonic() < until:
            await self._clock.sleep(0.02)
        log.info("drained", left=self.hub.connection_count())

    async def stop(self) -> None:
        """End what is left, and write down who was there. Idempotent."""
        for job in self._jobs:
            await job.stop()
        self.watch.deafen()
        await self.operators.stop()
        await self.nodes.stop()
        self.reach.stop()
        self.watch.deafen_to_others()
        await self.quotes.stop()
        await self.people.stop()
        await self.analytics.stop()
        self.feeder.stop()
        self._used.stop()
        await self.hub.stop()
        await self.log.close()

    async def _audit(
        self, *, principal: Principal, action: str, details: dict[str, object], target: str, ip: str
    ) -> None:
        entry = ActivityEntry(
            at=self._clock.time(),
            actor=principal.username,
            actor_id=principal.user_id,
            action=action,
            target=target,
            details=msgspec.convert(details, dict[str, Any]),
            ip=ip,
        )
        await self._accounts.activity.write(entry)
