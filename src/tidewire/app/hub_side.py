"""The hub's part of the web side: rooms and their rules, the gateway, what feeds rooms and what ends logins.

It must not hold logic of its own. A feature that brings rooms adds a line to ``ROOMS``; one that brings loops, to
``_jobs``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from tidewire.accounts.model import Principal, User
from tidewire.accounts.permissions import effective_permissions
from tidewire.accounts.service import Accounts
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.hub.door import Authenticate
from tidewire.hub.hub import Hub
from tidewire.hub.room import RoomRules
from tidewire.hub.switchboard import HubOptions
from tidewire.market import rules as market
from tidewire.market.feeder import RoomFeeder
from tidewire.settings import Settings
from tidewire.web.gateway import Gateway, connection_cap
from tidewire.web.handshake import Policy
from tidewire.web.http_protocol import Doorkeeper
from tidewire.web.session import SESSION_COOKIE
from tidewire.web.websocket_protocol import HardenedWebSocketProtocol

# Family of rooms -> how they behave; only these can be entered (who may is in accounts/grants.py).
ROOMS: dict[str, RoomRules] = {
    "market": market.RULES,
    "user": RoomRules(history_messages=200),
    "app": RoomRules(presence=True),
    "public": RoomRules(presence=True),
}

# A drain of few clients need not take long: twenty a second are no storm for whoever takes them over.
DRAIN_PER_CLIENT_S = 0.05
# reliability.md bar R9 allows 30 s for the whole end and 15 % of the clients in any second.
DRAIN_MAX_S = 10.0
# The last ones to be closed get this long to answer the close frame, so that none of them sees a broken connection.
FAREWELL_S = 2.0


class HubSide:
    """The hub and everything around it that lives and dies with it. Make it on the running loop.

    Args:
        origin_allowed: Whether pages of an origin may connect.
    """

    def __init__(
        self,
        settings: Settings,
        bus: Bus,
        accounts: Accounts,
        clock: Clock,
        *,
        authenticate: Authenticate,
        origin_allowed: Callable[[str], bool],
    ) -> None:
        self._accounts = accounts
        self._clock = clock
        self.hub = Hub(
            clock=clock,
            scheduler=asyncio.get_running_loop(),
            authenticate=authenticate,
            rules=ROOMS,
            options=HubOptions(allow_anonymous=settings.allow_anonymous),
        )
        policy = Policy(
            origin_allowed=origin_allowed, cookie_name=SESSION_COOKIE, trusted_proxies=settings.trusted_proxies
        )
        cap = connection_cap()
        self.gateway = Gateway(self.hub, policy, HardenedWebSocketProtocol, max_connections=cap)
        self.doorkeeper = Doorkeeper(cap, self.hub.connection_count)
        self.feeder = RoomFeeder(bus, self.hub)
        self._listening: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Keep time, feed rooms, and listen to what accounts say."""
        await self.hub.start()
        self.feeder.start()
        self._listening = [
            self._accounts.on_changed(self._user_changed),
            self._accounts.on_revoked(self._login_ended),
        ]

    async def drain(self) -> None:
        """Send every client away kindly, in bounded time."""
        await self.hub.drain(min(DRAIN_MAX_S, self.hub.connection_count() * DRAIN_PER_CLIENT_S))
        until = self._clock.monotonic() + FAREWELL_S
        while self.hub.connection_count() and self._clock.monotonic() < until:
            await self._clock.sleep(0.02)

    async def stop(self) -> None:
        """End what is left. Idempotent."""
        for end in self._listening:
            end()
        self._listening = []
        self.feeder.stop()
        await self.hub.stop()

    def _login_ended(self, session_id: str) -> None:
        self.hub.end_login(session_id)

    def _user_changed(self, user: User) -> None:
        if user.disabled:
            self.hub.end_user(user.id)
            return
        permissions = effective_permissions(user)

        def revise(principal: Principal) -> Principal:
            return replace(principal, username=user.username, role=user.role, permissions=permissions)

        self.hub.revise_user(user.id, revise)
