"""A real Redis cluster for tests: several server processes that share 16,384 slots, killed and frozen one by one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from redis.asyncio import Redis

from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually
from tidewire.bus.cluster_map import SLOTS, slot_of

# Nodes look at each other every tenth of it; a failover begins after it.
NODE_TIMEOUT_MS = 1_500
CEILING_S = 40.0


class ValkeyCluster:
    """Servers with slots, and replicas without.

    Args:
        shards: How many servers share the slots.
        replicas: How many further servers copy the first shard.
        options: Of every server.
    """

    def __init__(self, shards: int = 3, replicas: int = 0, **options: str) -> None:
        common = {
            "cluster_enabled": "yes",
            "cluster_node_timeout": str(NODE_TIMEOUT_MS),
            "cluster_require_full_coverage": "no",
            "cluster_config_file": "nodes.conf",
            **options,
        }
        self.servers = [ValkeyProcess(**common) for _ in range(shards)]
        self.replicas = [ValkeyProcess(**common) for _ in range(replicas)]

    @property
    def url(self) -> str:
        """Return a URL that names every server with slots."""
        return "redis://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def of(self, name: str) -> ValkeyProcess:
        """Return who had a name's slot when the cluster was made."""
        return self.servers[slot_of(name.encode()) * len(self.servers) // SLOTS]

    def rooms(self) -> list[str]:
        """Return one room per server, in the order of the servers."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < len(self.servers):
            room = f"app:room-{number}"
            found.setdefault(self.servers.index(self.of("{" + room + "}")), room)
            number += 1
        return [found[index] for index in range(len(self.servers))]

    async def ask(self, server: ValkeyProcess, *words: str | bytes | int) -> object:
        """Ask one server one thing."""
        client: Redis = Redis(port=server.port, protocol=2)
        try:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        finally:
            await client.aclose()

    async def name(self, server: ValkeyProcess) -> str:
        """Return what the server is called in the cluster."""
        answer = await self.ask(server, "CLUSTER", "MYID")
        assert isinstance(answer, bytes)
        return answer.decode()

    async def start(self) -> None:
        """Start every server and return when each of them says that all slots are served."""
        everybody = [*self.servers, *self.replicas]
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in everybody))
        for index, server in enumerate(self.servers):
            first = -(-index * SLOTS // len(self.servers))
            last = -(-(index + 1) * SLOTS // len(self.servers)) - 1
            await self.ask(server, "CLUSTER", "ADDSLOTSRANGE", first, last)
            await self.ask(server, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for server in everybody[1:]:
            await self.ask(server, "CLUSTER", "MEET", "127.0.0.1", everybody[0].main_port, everybody[0].cluster_port)
        await self._until(lambda: self._agreed(len(everybody)))
        for replica in self.replicas:
            await self.ask(replica, "CLUSTER", "REPLICATE", await self.name(self.servers[0]))
        for replica in self.replicas:
            await self._until(lambda replica=replica: self._copies(replica))

    async def begin_move(self, name: str, to: ValkeyProcess, source: ValkeyProcess | None = None) -> None:
        """Say that the slot of a name is going to another server."""
        slot, source = slot_of(name.encode()), source or self.of(name)
        await self.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", await self.name(source))
        await self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", await self.name(to))

    async def hand_over(self, source: ValkeyProcess, to: ValkeyProcess, *keys: str | bytes) -> None:
        """Move keys."""
        await self.ask(source, "MIGRATE", "127.0.0.1", to.main_port, "", 0, 5000, "KEYS", *keys)

    async def move(self, name: str, to: ValkeyProcess, source: ValkeyProcess | None = None) -> None:
        """Move the slot of a name to another server, key by key, as resharding tools do."""
        await self.begin_move(name, to, source)
        await self.end_move(name, to, source)

    async def end_move(self, name: str, to: ValkeyProcess, source: ValkeyProcess | None = None) -> None:
        """Move what is left, and tell everybody."""
        slot, source = slot_of(name.encode()), source or self.of(name)
        while True:
            keys = await self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 10)
            assert isinstance(keys, list)
            if not keys:
                break
            await self.hand_over(source, to, *keys)
        # Once each: told again, the new owner would drop its listeners.
        for server in dict.fromkeys((to, source, *self.servers)):
            await self.ask(server, "CLUSTER", "SETSLOT", slot, "NODE", await self.name(to))

    async def close(self) -> None:
        """End everything."""
        for server in (*self.servers, *self.replicas):
            server.close()

    async def _agreed(self, count: int) -> bool:
        for server in (*self.servers, *self.replicas):
            info = await self.ask(server, "CLUSTER", "INFO")
            assert isinstance(info, bytes | dict)
            text = info.decode() if isinstance(info, bytes) else "\n".join(f"{k}:{v}" for k, v in info.items())
            wanted = ("cluster_state:ok", f"cluster_known_nodes:{count}", f"cluster_slots_ok:{SLOTS}")
            if not all(line in text for line in wanted):
                return False
        return True

    async def _copies(self, replica: ValkeyProcess) -> bool:
        info = await self.ask(replica, "INFO", "replication")
        return isinstance(info, dict) and info.get("role") == "slave" and info.get("master_link_status") == "up"

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        # Servers tell each other, not us: there is no event to wait for.
        await eventually(holds, ceiling_s=CEILING_S)


@contextlib.asynccontextmanager
async def cluster(shards: int = 3, replicas: int = 0, **options: str) -> AsyncIterator[ValkeyCluster]:
    """Yield a running cluster."""
    made = ValkeyCluster(shards, replicas, **options)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
