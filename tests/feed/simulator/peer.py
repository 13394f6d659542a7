"""A client for tests: the websockets library, speaking the protocol by hand, so that every frame can be looked at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tidewire.core.clock import Clock
from tidewire.feed.simulator import Simulator, SimulatorConfig

KEY = "simulator-key"
# Ceiling of every wait; reached only when something is broken.
CEILING_S = 45.0
Event = dict[str, Any]


class Peer:
    """One connection. Every wait has a ceiling."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def frame(self) -> str | bytes:
        """Return the next frame as it came."""
        async with asyncio.timeout(CEILING_S):
            return await self.socket.recv()

    async def events(self) -> list[Event]:
        """Return the next frame's events."""
        found = json.loads(await self.frame())
        assert isinstance(found, list)
        return found

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Return the first event that is ``wanted``."""
        while True:
            for event in await self.events():
                if wanted(event):
                    return event

    async def status(self, status: str) -> Event:
        """Return the first status event with this status."""
        return await self.until(lambda event: event["ev"] == "status" and event["status"] == status)

    async def say(self, action: str, params: str) -> None:
        """Send one message."""
        await self.socket.send(json.dumps({"action": action, "params": params}))

    async def log_in(self, key: str = KEY) -> None:
        """Greet and authenticate; both must succeed."""
        assert (await self.events())[0]["status"] == "connected"
        await self.say("auth", key)
        assert (await self.events())[0]["status"] == "auth_success"

    async def subscribe(self, params: str) -> None:
        """Subscribe and wait for the first acknowledgement."""
        await self.say("subscribe", params)
        await self.status("success")

    async def closed(self) -> tuple[int | None, list[Event]]:
        """Read to the end; return the close code (None without a close frame) and every status on the way."""
        statuses: list[Event] = []
        async with asyncio.timeout(CEILING_S):
            try:
                while True:
                    statuses += [event for event in json.loads(await self.socket.recv()) if event["ev"] == "status"]
            except ConnectionClosed as exc:
                return (exc.rcvd.code if exc.rcvd else None), statuses


@asynccontextmanager
async def running(clock: Clock | None = None, **settings: Any) -> AsyncIterator[Simulator]:
    """Run a simulator: five tickers and no control unless said otherwise."""
    config = SimulatorConfig(**{"tickers": 5, "control_port": None, **settings})
    simulator = Simulator(config, clock)
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


@asynccontextmanager
async def dialled(simulator: Simulator, path: str = "/stocks", **options: Any) -> AsyncIterator[Peer]:
    """Connect without logging in."""
    url = f"ws://127.0.0.1:{simulator.port}{path}"
    settings: dict[str, Any] = {"proxy": None, "max_size": None, "close_timeout": 0.2, **options}
    async with connect(url, **settings) as socket:
        yield Peer(socket)


@asynccontextmanager
async def logged_in(simulator: Simulator, topics: str = "", **options: Any) -> AsyncIterator[Peer]:
    """Connect, log in and subscribe."""
    async with dialled(simulator, **options) as peer:
        await peer.log_in()
        if topics:
            await peer.subscribe(topics)
        yield peer


@asynccontextmanager
async def control_of(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    """Return an HTTP client for the simulator's control."""
    base = f"http://127.0.0.1:{simulator.control_port}"
    async with httpx2.AsyncClient(base_url=base, trust_env=False, timeout=CEILING_S) as client:
        yield client
