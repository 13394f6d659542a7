"""A scripted venue: a real WebSocket server on port 0 that says what a test tells it to say.

It follows feed-protocol.md 1.2-1.4 as far as the script asks, and misbehaves where the script says so.
"""

from __future__ import annotations

import asyncio
import http
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

KEY = "canary-key-0123456789"
GREETING = {"ev": "status", "status": "connected", "message": "Connected Successfully"}
CEILING_S = 45.0


def status(word: str, message: str = "") -> dict[str, str]:
    """Return a status event."""
    return {"ev": "status", "status": word, "message": message}


def trade(symbol: str, q: int, price: float = 100.0, t: int = 1_700_000_000_000, **more: Any) -> dict[str, Any]:
    """Return a trade event as the venue sends it."""
    return {"ev": "T", "sym": symbol, "x": 4, "i": str(q), "z": 3, "p": price, "s": 100, "t": t, "q": q, **more}


@dataclass
class Script:
    """What the venue does. Change it between connections."""

    http_status: int | None = None
    greet: bool = True
    auth: Literal["success", "failed", "plan", "silent"] = "success"
    ack: Literal["batched", "single", "silent"] = "batched"
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    limit: int | None = None
    hang: bool = False


class Peer:
    """One connection as the venue sees it."""

    def __init__(self, socket: ServerConnection, changed: Callable[[], None]) -> None:
        self.socket = socket
        self.topics: set[str] = set()
        self.requests: list[dict[str, str]] = []
        self.authenticated = False
        self.gone = False
        self.changed = changed

    async def send(self, *events: Any) -> None:
        """Send one frame with these events."""
        await self.socket.send(json.dumps(list(events)))

    async def send_raw(self, frame: bytes) -> None:
        """Send these bytes as one text frame."""
        await self.socket.send(frame, text=True)

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code."""
        await self.socket.close(code, reason)

    def abort(self) -> None:
        """Drop the TCP connection without a close frame."""
        self.socket.transport.abort()

    def stall(self) -> None:
        """Stop reading, hence answering pings."""
        self.socket.transport.pause_reading()


class Upstream:
    """The server. Use as ``async with Upstream(script) as venue``."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script if script is not None else Script()
        self.peers: list[Peer] = []
        self.attempts = 0
        self._server: Server | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._release = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._talk,
            "127.0.0.1",
            0,
            process_request=self._admit,
            ping_interval=None,
            max_size=None,
            close_timeout=0.1,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._release.set()
        for peer in self.peers:
            if not peer.gone:
                peer.abort()
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        port = next(iter(self._server.sockets)).getsockname()[1]
        return f"ws://127.0.0.1:{port}/stocks"

    @property
    def open_peers(self) -> list[Peer]:
        """Connections that have not ended."""
        return [peer for peer in self.peers if not peer.gone]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something here has made ``condition`` true."""
        async with asyncio.timeout(CEILING_S):
            while not condition():
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    async def peer(self, number: int, topics: int = 1) -> Peer:
        """Wait for connection ``number`` (from 1) to have at least so many topics, and return it."""
        await self.until(lambda: len(self.peers) >= number and len(self.peers[number - 1].topics) >= topics)
        return self.peers[number - 1]

    def _changed(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        self.attempts += 1
        self._changed()
        if self.script.hang:
            await self._release.wait()
        if self.script.http_status is not None:
            return socket.respond(http.HTTPStatus(self.script.http_status), "refused by the script\n")
        return None

    async def _talk(self, socket: ServerConnection) -> None:
        peer = Peer(socket, self._changed)
        self.peers.append(peer)
        self._changed()
        try:
            if self.script.greet:
                await peer.send(GREETING)
            async for message in socket:
                await self._answer(peer, json.loads(message))
                self._changed()
        except ConnectionClosed:
            pass
        finally:
            peer.gone = True
            self._changed()

    async def _answer(self, peer: Peer, request: dict[str, str]) -> None:
        peer.requests.append(request)
        topics = [topic for topic in request["params"].split(",") if topic]
        if request["action"] == "auth":
            await self._authenticate(peer, request["params"])
        elif request["action"] == "subscribe":
            await self._subscribe(peer, topics)
        elif request["action"] == "unsubscribe":
            peer.topics -= set(topics)
            await peer.send(*(status("success", f"unsubscribed to: {topic}") for topic in topics))

    async def _authenticate(self, peer: Peer, key: str) -> None:
        script = self.script
        if script.auth == "silent":
            return
        if script.auth != "success" or key != KEY:
            text = "authentication failed" if script.auth != "plan" else "Your plan doesn't include websocket access."
            await peer.send(status("auth_failed", text))
            # As measured: no close frame follows.
            asyncio.get_running_loop().call_later(0.005, peer.abort)
            return
        peer.authenticated = True
        await peer.send(status("auth_success", "authenticated"))
        live = [other for other in self.peers if other.authenticated and not other.gone]
        if script.limit is not None and len(live) > script.limit:
            text = "Maximum number of websocket connections exceeded. "
            await live[0].send(status("max_connections", text))
            await live[0].close(1008)

    async def _subscribe(self, peer: Peer, topics: list[str]) -> None:
        script = self.script
        new = [topic for topic in topics if topic not in peer.topics and topic not in script.unknown]
        accepted = [topic for topic in new if topic not in script.refused]
        peer.topics |= set(accepted)
        answers = [status("success", f"subscribed to: {topic}") for topic in accepted]
        if len(accepted) < len(new):
            answers.insert(0, status("error", "not authorized"))
        if script.ack == "batched" and answers:
            await peer.send(*answers)
        elif script.ack == "single":
            for answer in answers:
                await peer.send(answer)
