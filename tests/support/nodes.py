"""Several hubs in one process on one broker, each a node with its own connections to it, and clients of any of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.hub_server import RULES, Doorman
from tests.support.tape_socket import TapeSocket
from tidewire.accounts.credential import Credential
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_cluster import RedisClusterBus
from tidewire.bus.redis_cluster_log import RedisClusterLog
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_members import RedisMembers
from tidewire.bus.redis_topology import RedisTopology
from tidewire.bus.redis_user_counts import RedisUserCounts
from tidewire.bus.wire import BrokerLimits
from tidewire.core.clock import Clock, SystemClock
from tidewire.hub.hub import Hub
from tidewire.hub.lifecycle import Timing
from tidewire.hub.links import Links
from tidewire.hub.session import Peer, Session
from tidewire.hub.switchboard import HubOptions

# A quiet connection is asked sooner, and slowness is no news on a crowded machine.
QUICK = BrokerLimits(ping_interval_s=0.1, command_timeout_s=1.0, degraded_s=0.3, slow_ms=20_000.0)


class WatchedSocket(TapeSocket):
    """A tape that says when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def _take(self, text: bytes) -> None:
        super()._take(text)
        self.written.set()

    def close(self, code: int, reason: str) -> None:
        """Note the close frame."""
        super().close(code, reason)
        self.written.set()


@dataclass(eq=False)
class NodeClient:
    """One connection to one node; ``inbox`` are the messages that nobody has taken."""

    hub: Hub
    socket: WatchedSocket
    session: Session
    inbox: list[dict[str, Any]] = field(default_factory=list)
    _ids: int = 0

    def send(self, kind: str, **members: Any) -> int:
        """Send one message; return its id."""
        self._ids += 1
        self.hub.receive(self.session, json.dumps({"type": kind, "id": self._ids, **members}).encode())
        return self._ids

    async def ask(self, kind: str, **members: Any) -> dict[str, Any]:
        """Send one message and return its reply; what came before the reply is in ``inbox``."""
        number = self.send(kind, **members)
        return await self.take(lambda message: message["type"] == "reply" and message["id"] == number)

    async def take(self, wanted: Any, ceiling_s: float = 20.0) -> dict[str, Any]:
        """Return the first message that is wanted (a type, or a function), once it has come."""
        holds = wanted if callable(wanted) else lambda message: message["type"] == wanted
        async with asyncio.timeout(ceiling_s):
            while True:
                self.inbox += self.socket.read()
                for index, message in enumerate(self.inbox):
                    if holds(message):
                        del self.inbox[index]
                        return message
                self.socket.written.clear()
                await self.socket.written.wait()

    async def enter(self, room_id: str, **members: Any) -> dict[str, Any]:
        """Enter a room and return ``subscribed``."""
        reply = await self.ask("subscribe", room_id=room_id, **members)
        assert reply["ok"], reply
        return await self.take(lambda message: message["type"] == "subscribed" and message["room_id"] == room_id)

    async def messages(self, room_id: str, count: int, ceiling_s: float = 20.0) -> list[Any]:
        """Return (offset, data) of the next ``count`` messages of a room."""
        found = []
        for _ in range(count):
            message = await self.take(
                lambda each: each["type"] == "room_message" and each["room_id"] == room_id, ceiling_s
            )
            found.append((message.get("offset"), message["data"]))
        return found

    def lose(self) -> None:
        """The connection is cut."""
        self.hub.lost(self.session, None)


@dataclass(eq=False)
class Node:
    """One hub with its own bus and log."""

    name: str
    bus: RedisBus | RedisClusterBus
    log: RedisRoomLog | RedisClusterLog
    hub: Hub
    doorman: Doorman

    async def client(self, token: str) -> NodeClient:
        """Connect, and return once welcomed."""
        client = self.connect(token)
        await client.take("connection")
        return client

    def connect(self, token: str) -> NodeClient:
        """Connect."""
        return watched_client(self.hub, token)

    async def start(self) -> None:
        """Connect, then keep time."""
        await self.bus.start()
        await self.log.start()
        await self.hub.start()

    async def stop(self) -> None:
        """End everything."""
        await self.hub.stop()
        await self.log.stop()
        await self.bus.stop()


def watched_client(hub: Hub, token: str) -> NodeClient:
    """Return a new connection to a hub."""
    socket = WatchedSocket()
    peer = Peer(ip="192.0.2.1", user_agent="test", path="/ws", batch=False)
    session = hub.open(socket, peer, Credential("bearer", token))
    socket.on_slow = lambda: hub.slow(session)
    socket.on_quick = lambda: hub.quick(session)
    return NodeClient(hub, socket, session)


def make_node(
    url: str,
    name: str,
    *,
    clock: Clock | None = None,
    members_s: float = 12.0,
    clustered: bool = False,
    **more: Any,
) -> Node:
    """Return a node that is not started; ``clustered``: the URL is of a Redis cluster."""
    clock = clock or SystemClock()
    chance = random.Random(name)
    bus: RedisBus | RedisClusterBus
    log: RedisRoomLog | RedisClusterLog
    if clustered:
        topology = RedisTopology(url, clock, limits=QUICK)
        bus = RedisClusterBus(topology, clock, chance, limits=QUICK)
        log = RedisClusterLog(topology, clock, chance, limits=QUICK)
    else:
        bus = RedisBus(url, clock, chance, limits=QUICK)
        log = RedisRoomLog(url, clock, chance, limits=QUICK)
    doorman = Doorman()
    # Nobody here answers heartbeats, and some clocks are quick.
    timing = Timing(heartbeat_s=1e6)
    options = HubOptions(messages_per_second=1e6, burst=1e6, connections_per_user=1_000, timing=timing)
    hub = Hub(
        clock=clock,
        scheduler=asyncio.get_running_loop(),
        authenticate=doorman,
        rules=RULES,
        options=options,
        links=Links(bus, log, RedisMembers(log.commands, life_s=members_s), name, RedisUserCounts(log.commands)),
        **more,
    )
    return Node(name, bus, log, hub, doorman)


@contextlib.asynccontextmanager
async def nodes(*urls: str, **more: Any) -> AsyncIterator[list[Node]]:
    """Yield one started node per URL, stopped afterwards."""
    made = [make_node(url, f"node-{number}", **more) for number, url in enumerate(urls, 1)]
    try:
        for node in made:
            await node.start()
        yield made
    finally:
        for node in made:
            await node.stop()
