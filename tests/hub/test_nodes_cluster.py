"""Two nodes on a Redis cluster of three shards, a room on each: shards die, freeze, fail over, slots move.

Judged by the history checker, like every other fault of the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from tests.support.bus import wait_for_status
from tests.support.node_run import Fault, NodeRun
from tests.support.nodes import Node, nodes
from tests.support.valkey_cluster import ValkeyCluster, cluster
from tests.support.waiting import until_told
from tidewire.bus.room_log import channel_of


@dataclass
class World:
    """A cluster, two nodes on it, and a room on each shard."""

    cluster: ValkeyCluster
    nodes: list[Node]
    rooms: list[str]

    async def kill(self) -> None:
        """kill -9 of the first shard until both nodes know, and a start from what it kept."""
        self.cluster.servers[0].kill()
        await self._until_all("degraded")
        await asyncio.to_thread(self.cluster.servers[0].start)
        await self._until_all("up")

    async def freeze(self) -> None:
        """SIGSTOP of the first shard until both nodes know, then SIGCONT."""
        self.cluster.servers[0].freeze()
        await self._until_all("degraded")
        self.cluster.servers[0].thaw()
        await self._until_all("up")

    def mover(self, source: int, to: int) -> Fault:
        """Return the moving of the first room's slot."""

        async def move() -> None:
            servers = self.cluster.servers
            await self.cluster.move(channel_of(self.rooms[0]), servers[to], source=servers[source])

        return move

    async def play(self, faults: list[Fault], seed: int) -> list[NodeRun]:
        """Run a history in each room at once; the faults happen by the first one's measure."""
        runs = [NodeRun(self.nodes, room, seed, followers=4) for room in self.rooms]
        async with asyncio.TaskGroup() as group:
            for run in runs:
                group.create_task(
                    run.play(faults if run is runs[0] else [], publishers=2, publishes=60, ceiling_s=100.0)
                )
        return runs

    async def _until_all(self, state: str) -> None:
        for node in self.nodes:
            await until(node, lambda node=node: node.log.status().state == state)  # type: ignore[misc]


async def until(node: Node, holds: Callable[[], bool]) -> None:
    """Return once something is true of a node's log."""
    await until_told(node.log.on_state, holds, 80)


@contextlib.asynccontextmanager
async def world(replicas: int = 0, **options: str) -> AsyncIterator[World]:
    """Yield everything started."""
    async with (
        cluster(replicas=replicas, **options) as servers,
        nodes(servers.url, servers.url, clustered=True) as made,
    ):
        yield World(servers, made, servers.rooms())


def judge(runs: list[NodeRun], lives: list[int]) -> None:
    """Each room had so many epochs; everybody was told of each one once, and is owed nothing of the last one.

    What was acknowledged and lost with a server is of an epoch that has ended, and nothing else is.
    """
    for run, count in zip(runs, lives, strict=True):
        assert run.violations() == []
        epochs = list(dict.fromkeys(entry.epoch for entry in run.published))
        assert len(epochs) == count
        for follower in run.followers:
            assert [epoch for epoch, _ in follower.told()] == epochs
            # It was inside before the first message, so that in an epoch that stands it has seen all of them.
            assert follower.told()[0][1] == 0
        assert run.missed() <= set(epochs[:-1])


@pytest.mark.parametrize("durable", [True, False])
async def test_a_shard_that_dies_and_freezes_is_its_own_rooms_trouble(durable: bool) -> None:
    """Kill and freeze of one of three: its room is recovered, or told where it cannot be; the others notice nothing."""
    options = {"appendonly": "yes", "appendfsync": "always"} if durable else {}
    async with world(**options) as here:
        runs = await here.play([here.kill, here.freeze], 1)
        judge(runs, [1 if durable else 2, 1, 1])
        assert runs[0].asked_again > 0


async def test_nobody_enters_a_room_of_a_dead_shard_by_what_the_node_remembers() -> None:
    """The node follows all three rooms; without their shard one cannot be entered or published to, two can."""
    async with world() as here:
        node = here.nodes[0]
        client = await node.client("user-1")
        for room in here.rooms:
            await client.enter(room)
        here.cluster.servers[0].kill()
        await wait_for_status(node.bus, lambda status: status.state == "degraded")
        late = await node.client("admin-1")
        for kind in ("subscribe", "publish"):
            members = {"data": "x", "op_id": "o"} if kind == "publish" else {}
            refused = await late.ask(kind, room_id=here.rooms[0], **members)
            assert (refused["ok"], refused["error"]["code"]) == (False, "broker_unavailable")
            assert refused["error"]["temporary"]
            for room in here.rooms[1:]:
                assert (await late.ask(kind, room_id=room, **members))["ok"]
        assert [data for _, data in await client.messages(here.rooms[1], 1)] == ["x"]
        await client.take(lambda message: message["type"] == "connection" and message.get("status") == "degraded")


async def test_a_slot_moves_while_messages_flow() -> None:
    """There, on and back, fsync always: every reader has everything in one epoch, once, in order."""
    async with world(appendonly="yes", appendfsync="always") as here:
        runs = await here.play([here.mover(0, 1), here.mover(1, 2), here.mover(2, 0)], 2)
        judge(runs, [1, 1, 1])


async def test_a_slot_that_moves_to_a_server_that_may_forget_is_told() -> None:
    """Without fsync another process's word is not taken: a new epoch, and every reader is told."""
    async with world() as here:
        runs = await here.play([here.mover(0, 1)], 3)
        judge(runs, [2, 1, 1])


async def test_a_replica_that_takes_over_a_shard_is_found_and_told() -> None:
    """kill -9 of a primary for good: its replica is promoted, the room goes on there in a new epoch."""
    async with world(replicas=1) as here:
        replica = here.cluster.replicas[0]

        async def fail_over() -> None:
            here.cluster.servers[0].kill()
            for node in here.nodes:
                await until(node, lambda node=node: str(replica.port) in here_is(node))  # type: ignore[misc]

        runs = await here.play([fail_over], 4)
        judge(runs, [2, 1, 1])


def here_is(node: Node) -> str:
    """Return the shards that a node's log uses and that answer."""
    return " ".join(shard.endpoint for shard in node.log.status().shards if shard.state == "up")
