"""What chaos is made in: Valkey, Postgres, and nodes as processes of their own, each behind a fault proxy to Valkey.

It starts, breaks and ends processes by id, and knows no rooms and no clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.command import Service, is_running
from tests.support.fault_proxy import FaultProxy
from tests.support.population import Population, settle
from tests.support.postgres import PostgresProcess, create_database, postgres_process
from tests.support.served import settings
from tests.support.valkey import ValkeyProcess
from tests.support.valkey_cluster import ValkeyCluster

# What survives a kill -9 of the server (docs/operations.md, "Durability").
DURABLE = {"appendonly": "yes", "appendfsync": "always"}
# A node that cannot start (Valkey or Postgres is away at that moment) is started again, as systemd would.
START_AGAIN_S = 0.5
# So many do not start in a row only if something is wrong with them.
STARTS = 60
# Postgres replays its log after a crash; there is little in it.
RECOVERED_S = 60.0


class Node:
    """One ``tidewire serve``, started again after each end.

    Attributes:
        port: Where it listens in this life; None while it does not.
        kills: SIGKILLs so far.
    """

    def __init__(self, name: str, folder: Path, values: Mapping[str, str], *words: str) -> None:
        self.name = name
        self.port: int | None = None
        self.kills = 0
        self._folder = folder
        self._words = words or ("--no-feed",)
        self._values = {**values, "TIDEWIRE_NODE_NAME": name}
        self._service: Service | None = None

    @property
    def pid(self) -> int:
        """Its process id in this life."""
        assert self._service is not None
        return self._service.pid

    @property
    def whole(self) -> bool:
        """Whether everything that belongs to it runs."""
        return self.port is not None

    async def start(self) -> None:
        """Start it, again and again if need be, and return when it serves."""
        for _ in range(STARTS):
            self._service = Service("serve", *self._words, "--json", values=self._values, cwd=self._folder)
            try:
                said = await asyncio.to_thread(self._service.announcement)
            except AssertionError:
                await asyncio.to_thread(self._service.kill)
                await asyncio.sleep(START_AGAIN_S)
                continue
            self._announced(said)
            return
        raise RuntimeError(f"{self.name} did not start: {self._service.err[-5:] if self._service else ''}")

    def _announced(self, said: dict[str, Any]) -> None:
        self.port = int(re.sub(r".*:", "", said["url"]))

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._service is not None
        self.port = None
        self.kills += 1
        await asyncio.to_thread(self._service.kill)

    def log(self) -> list[dict[str, Any]]:
        """Return what it has logged in this life."""
        return [] if self._service is None else self._service.log()

    async def stop(self) -> int | None:
        """End it gently; return its exit code, None if it does not run."""
        self.port = None
        if self._service is None or not is_running(self._service.pid):
            return None
        return await asyncio.to_thread(self._service.stop)


class Crew(Node):
    """One ``tidewire serve --workers 2``: its supervisor lives, its workers and its feed do not."""

    def __init__(self, name: str, folder: Path, values: Mapping[str, str]) -> None:
        super().__init__(name, folder, values, "--workers", "2")
        self.feed_kills = 0

    async def kill_one(self, name: str) -> None:
        """SIGKILL one of its processes, and return when the supervisor has another one ready."""
        assert self._service is not None
        before = self._lives(name)
        if name.endswith("-feed"):
            self.feed_kills += 1
        else:
            self.kills += 1
        os.kill(before[-1], signal.SIGKILL)
        told = self._service.told
        await asyncio.to_thread(told, lambda line: _is_ready(line, name) and line["pid"] not in before)

    def _lives(self, name: str) -> list[int]:
        return [line["pid"] for line in self.log() if _is_ready(line, name)]


def _is_ready(line: Mapping[str, Any], name: str) -> bool:
    return line.get("event") == "worker_ready" and line["worker"] == name


class Plant:
    """Everything that runs. Made by ``plant``.

    Attributes:
        spare: Servers that were used before.
        proxies: One before Valkey for each node, in their order.
    """

    def __init__(
        self, valkey: ValkeyProcess, postgres: PostgresProcess, proxies: list[FaultProxy], nodes: list[Node]
    ) -> None:
        self.valkey = valkey
        self.postgres = postgres
        self.proxies = proxies
        self.nodes = nodes
        self.spare: list[ValkeyProcess] = []
        self.people: Population
        self._restarts: set[asyncio.Task[None]] = set()

    def use_valkey(self, server: ValkeyProcess) -> None:
        """Lead everybody to another server; their connections to the one before are reset."""
        self.spare.append(self.valkey)
        self.valkey = server
        for proxy in self.proxies:
            proxy.target = server.port
            proxy.reset()

    @property
    def serving(self) -> list[Node]:
        """Nodes that can be connected to."""
        return [node for node in self.nodes if node.port is not None]

    def restart_soon(self, node: Node) -> asyncio.Task[None]:
        """Start a node that was killed, beside whatever else happens."""
        task = asyncio.create_task(node.start())
        self._restarts.add(task)
        return task

    async def settled(self) -> None:
        """Return when every node that was killed serves again."""
        await asyncio.gather(*self._restarts)
        self._restarts.clear()

    async def kill_valkey(self) -> None:
        """kill -9, and a start from what it kept."""
        self.valkey.kill()
        await asyncio.to_thread(self.valkey.start)

    async def restart_postgres(self, *, gently: bool, whole: bool = False) -> None:
        """Shut it down or kill its postmaster, with all its processes if ``whole``; start it again."""
        await asyncio.to_thread(self.postgres.stop if gently else lambda: self.postgres.kill(whole=whole))
        await asyncio.to_thread(self.postgres.start)

    async def kill_within_postgres(self, number: int) -> None:
        """kill -9 of one of Postgres' processes; return when the database takes connections again."""
        await asyncio.to_thread(self.postgres.kill_child, number)
        async with asyncio.timeout(RECOVERED_S):
            while True:
                try:
                    connection = await asyncpg.connect(self.people.url)
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(START_AGAIN_S / 10)
                    continue
                await connection.close()
                return

    async def stop(self) -> list[int | None]:
        """End every node gently; return their exit codes."""
        for task in self._restarts:
            task.cancel()
        await asyncio.gather(*self._restarts, return_exceptions=True)
        return await asyncio.gather(*(node.stop() for node in self.nodes))


@contextlib.asynccontextmanager
async def plant(
    folder: Path,
    *,
    nodes: int = 2,
    crew: bool = False,
    users: int = 60,
    valkey: Mapping[str, str] = DURABLE,
    proxied: bool = True,
    broker: ValkeyCluster | None = None,
) -> AsyncIterator[Plant]:
    """Run it all until the block ends; no process is left.

    Args:
        crew: One supervisor with two workers and a feed instead of nodes.
        valkey: Options of Valkey.
        proxied: Whether a fault proxy is between each node and Valkey. It runs in this process: where thousands of
            clients do too, a node would wait for them.
        broker: A running cluster to use in place of one Valkey; whoever made it breaks it and ends it.
    """
    # SIGKILLed nodes leave their connections to Postgres until it notices.
    with postgres_process("max_connections=300") as postgres:
        async with contextlib.AsyncExitStack() as stack:
            server = stack.enter_context(ValkeyProcess(**valkey)) if broker is None else broker.servers[0]
            count, proxied = 1 if crew else nodes, proxied and broker is None
            proxies = [await stack.enter_async_context(FaultProxy(server.port)) for _ in range(count * proxied)]
            ports = [proxy.port for proxy in proxies] or [server.port] * count
            url = await create_database(postgres.url)
            people = await settle(url, users, "admin")
            database = url.replace("postgresql://", "postgresql+asyncpg://", 1)
            made: list[Node] = []
            for number, port in enumerate(ports, 1):
                values = settings(
                    folder,
                    TIDEWIRE_DATABASE_URL=database,
                    TIDEWIRE_REDIS_URL=f"redis://127.0.0.1:{port}/0" if broker is None else broker.url,
                    TIDEWIRE_REDIS_CLUSTER="false" if broker is None else "true",
                    TIDEWIRE_ALLOW_ANONYMOUS="true",
                )
                made.append(Crew("crew", folder, values) if crew else Node(f"node-{number}", folder, values))
            built = Plant(server, postgres, proxies, made)
            built.people = people
            try:
                await asyncio.gather(*(node.start() for node in made))
                yield built
            finally:
                # A frozen server would hold everybody's end.
                with contextlib.suppress(AssertionError):
                    built.valkey.thaw()
                await built.stop()
                for used in (built.valkey, *built.spare):
                    used.close()
