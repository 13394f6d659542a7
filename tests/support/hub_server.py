"""A hub behind a gateway on a real port, with users that exist by name only. For tests and benches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, WebSocket

from tidewire.accounts.credential import Credential
from tidewire.accounts.model import Principal, Role
from tidewire.accounts.permissions import DEFAULTS
from tidewire.core.clock import Clock, SystemClock
from tidewire.hub.hub import Hub
from tidewire.hub.lifecycle import Timing
from tidewire.hub.room import RoomRules
from tidewire.hub.switchboard import HubOptions
from tidewire.web.gateway import Gateway
from tidewire.web.handshake import Policy
from tidewire.web.http_protocol import Doorkeeper
from tidewire.web.server import WebServer
from tidewire.web.websocket_protocol import HardenedWebSocketProtocol

RULES: dict[str, RoomRules] = {
    "app": RoomRules(presence=True),
    "public": RoomRules(),
    "user": RoomRules(),
    "market": RoomRules(delivery="latest", state_keys=1, fed=True),
    "admin:system_monitoring": RoomRules(delivery="latest", state_keys=16),
    "quote": RoomRules(
        audiences=("plain", "premium"),
        audience_of=lambda principal: "premium" if principal is not None and principal.can("premium:view") else "plain",
    ),
}
ORIGIN = "https://desk.example"


def principal(user_id: int, role: Role = Role.USER, *, expires_at: float = 4e9, **more: Any) -> Principal:
    """Return somebody whose name is their number."""
    permissions = more.get("permissions", DEFAULTS[role])
    return Principal(user_id, f"user-{user_id}", role, permissions, f"s-{user_id}", expires_at)


@dataclass
class Doorman:
    """Knows who a secret stands for: ``user-7`` and ``admin-7`` by convention, others by ``known``."""

    known: dict[str, Principal | Exception] = field(default_factory=dict)
    asked: list[Credential] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def __call__(self, credential: Credential) -> Principal | None:
        """Answer, after ``hold`` if there is one."""
        self.asked.append(credential)
        if self.hold is not None:
            await self.hold.wait()
        found = self.known.get(credential.secret)
        if isinstance(found, Exception):
            raise found
        if found is not None:
            return found
        kind, _, number = credential.secret.partition("-")
        roles = {"user": Role.USER, "admin": Role.ADMIN}
        if kind in roles and number.isdigit():
            return principal(int(number), roles[kind])
        return None


def make_hub(
    doorman: Doorman | None = None,
    *,
    clock: Clock | None = None,
    options: HubOptions | None = None,
    rules: Mapping[str, RoomRules] = RULES,
    **more: Any,
) -> Hub:
    """Return a hub that is not started. Call it with a running loop."""
    return Hub(
        clock=clock or SystemClock(),
        scheduler=asyncio.get_running_loop(),
        authenticate=doorman or Doorman(),
        rules=rules,
        options=options,
        **more,
    )


@dataclass
class Running:
    """A server under test."""

    hub: Hub
    gateway: Gateway
    doorkeeper: Doorkeeper
    port: int

    @property
    def url(self) -> str:
        """Address of the hub."""
        return f"ws://127.0.0.1:{self.port}/ws"


def echo_app() -> FastAPI:
    """An application with an HTTP route and a WebSocket of its own, to stand beside the hub."""
    app = FastAPI()

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    @app.websocket("/other")
    async def other(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    return app


@contextlib.asynccontextmanager
async def running(
    hub: Hub,
    *,
    gateway: Gateway | None = None,
    doorkeeper: Doorkeeper | None = None,
    connections_per_ip: int = 20,
    max_connections: int | None = None,
) -> AsyncIterator[Running]:
    """Serve a hub on a free port."""
    policy = Policy(origin_allowed=lambda origin: origin == ORIGIN, cookie_name="tidewire_session")
    gateway = gateway or Gateway(
        hub,
        policy,
        HardenedWebSocketProtocol,
        connections_per_ip=connections_per_ip,
        max_connections=max_connections,
    )
    doorkeeper = doorkeeper or Doorkeeper(100_000, hub.connection_count)
    doorkeeper.shortcut = gateway.take_whole
    server = WebServer(
        host="127.0.0.1",
        port=0,
        websocket_protocol=gateway.protocol_class(),
        http_protocol=doorkeeper.protocol_class(),
    )
    server.bind()
    await server.start(echo_app())
    await hub.start()
    try:
        yield Running(hub, gateway, doorkeeper, server.port)
    finally:
        await hub.stop()
        await server.stop()


def fast_options(**more: Any) -> HubOptions:
    """Return options whose deadlines a test can wait for."""
    timing = Timing(authentication_s=0.3, heartbeat_s=0.5, pong_s=0.3, stall_s=0.5, warn_expiry_s=0.4, close_s=0.3)
    return HubOptions(timing=timing, **more)
