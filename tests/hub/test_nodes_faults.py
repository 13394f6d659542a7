"""Two nodes, one broker, and what can happen to it: nothing acknowledged is lost, doubled or reordered unsaid.

Judged by the history checker (reliability.md bars R1, R2, R11). The seed is in the test's name.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from tests.support.fault_proxy import FaultProxy
from tests.support.history_checker import Entered, Message
from tests.support.node_run import Fault, NodeRun
from tests.support.nodes import Node, nodes
from tests.support.valkey import BareClient, ValkeyProcess

ROOM = "app:x"


class Broken:
    """A broker, a proxy before each of two nodes, and the faults that they know."""

    def __init__(self, server: ValkeyProcess, proxies: list[FaultProxy], made: list[Node], seed: int) -> None:
        self.server = server
        self.proxies = proxies
        self.nodes = made
        self._chance = random.Random(seed)

    async def kill(self) -> None:
        """kill -9, and a start from what it kept."""
        self.server.kill()
        await asyncio.to_thread(self.server.start)

    async def freeze(self) -> None:
        """SIGSTOP until somebody has noticed, then SIGCONT."""
        self.server.freeze()
        await self._until_down(self.nodes[0])
        self.server.thaw()

    async def reset(self) -> None:
        """Every connection of one node is reset."""
        self._chance.choice(self.proxies).reset()

    async def half_open(self) -> None:
        """One node's connections become black holes until it has noticed."""
        which = self._chance.randrange(2)
        self.proxies[which].set("blackhole")
        await self._until_down(self.nodes[which])
        self.proxies[which].set("pass")
        self.proxies[which].reset()

    async def cut_in_the_middle(self) -> None:
        """The next answers to a node are cut within a message."""
        self._chance.choice(self.proxies).cut_after = self._chance.randrange(1, 400)

    async def flush(self) -> None:
        """FLUSHALL: everything is lost, without a break of any connection."""
        assert await BareClient(self.server.port).command("FLUSHALL") == b"+OK"

    async def _until_down(self, node: Node) -> None:
        told = asyncio.Event()
        watch = node.log.commands.changed.add(told.set)
        while node.log.status().state == "up":
            told.clear()
            await told.wait()
        watch.close()


@contextlib.asynccontextmanager
async def broken(seed: int, **options: str) -> AsyncIterator[Broken]:
    """Yield two started nodes behind proxies."""
    with ValkeyProcess(**options) as server:
        async with FaultProxy(server.port) as one, FaultProxy(server.port) as two:
            urls = [f"redis://127.0.0.1:{proxy.port}/0" for proxy in (one, two)]
            async with nodes(*urls) as made:
                yield Broken(server, [one, two], made, seed)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_durable_broker_may_die_freeze_and_be_cut_off_unseen(seed: int) -> None:
    """Kills, freezes, resets and black holes, fsync always: every reader has all 400 in one epoch, once, in order."""
    async with broken(seed, appendonly="yes", appendfsync="always") as world:
        faults: list[Fault] = [world.kill, world.freeze, world.reset, world.half_open, world.cut_in_the_middle]
        random.Random(seed).shuffle(faults)
        run = NodeRun(world.nodes, ROOM, seed)
        await run.play([*faults, world.reset])
        assert run.violations() == []
        assert len({entry.epoch for entry in run.published}) == 1
        assert run.asked_again > 0
        # A first visit to an empty room is not recovered; every later one is.
        assert run.count(Entered, recovered=False) <= len(run.followers)
        assert run.count(Message) >= 400


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_broker_that_loses_everything_is_told(seed: int) -> None:
    """Restarts without the data and FLUSHALL: a new epoch each time, and every reader is told before anything else."""
    async with broken(seed) as world:
        faults: list[Fault] = [world.kill, world.flush, world.kill, world.reset, world.flush]
        run = NodeRun(world.nodes, ROOM, seed)
        await run.play(faults)
        assert run.violations() == []
        epochs = {entry.epoch for entry in run.published}
        assert len(epochs) == 5
        assert run.count(Entered, recovered=False) > 2 * len(run.followers)
