"""A hub on a hand-driven clock, and clients of it without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.clock import HandClock
from tests.support.hub_server import RULES, Doorman
from tests.support.tape_socket import TapeSocket
from tidewire.accounts.credential import Credential
from tidewire.core import protocol
from tidewire.hub.hub import Hub
from tidewire.hub.session import Peer, Session
from tidewire.hub.switchboard import HubOptions


@dataclass
class Client:
    """One connection of the hub under test."""

    hub: Hub
    socket: TapeSocket
    session: Session

    def send(self, kind: str, **members: Any) -> None:
        """Send one message."""
        self.raw(json.dumps({"type": kind, **members}).encode())

    def raw(self, payload: bytes) -> None:
        """Send bytes."""
        self.hub.receive(self.session, payload)

    def read(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What came since the last read."""
        return self.socket.read(kind)

    def lose(self, code: int | None = None) -> None:
        """The connection is gone."""
        self.hub.lost(self.session, code)


class Stage:
    """A hub, its clock and its doorman."""

    def __init__(self, *, authenticate: Any = None, recheck: Any = None, **options: Any) -> None:
        self.clock = HandClock()
        self.doorman = Doorman()
        self.closed: list[Any] = []
        self.opened: list[Any] = []
        self.hub = Hub(
            clock=self.clock,
            scheduler=asyncio.get_running_loop(),
            authenticate=authenticate or self.doorman,
            rules=RULES,
            options=HubOptions(**options),
            recheck=recheck,
            opened=self.opened.append,
            closed=self.closed.append,
        )

    async def client(self, token: str | None, *, batch: bool = False, admin_only: bool = False) -> Client:
        """Connect with a bearer token, or without one."""
        socket = TapeSocket()
        peer = Peer(ip="192.0.2.1", user_agent="test", path="/ws", batch=batch, admin_only=admin_only)
        credential = Credential("bearer", token) if token is not None else None
        session = self.hub.open(socket, peer, credential)
        socket.on_slow = lambda: self.hub.slow(session)
        socket.on_quick = lambda: self.hub.quick(session)
        await turns()
        return Client(self.hub, socket, session)


async def turns(count: int = 5) -> None:
    """Let ready callbacks run."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A started hub with the default options."""
    made = Stage()
    await made.hub.start()
    yield made
    await made.hub.stop()


def data(value: Any) -> bytes:
    """Members of a room message."""
    return protocol.data_body(json.dumps(value).encode())
