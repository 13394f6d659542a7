"""Lists, kicks and messages to a user reach every node, and a node that does not answer is named."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.hub.conftest import Client, Stage
from tests.support.clock import HandClock
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.core import protocol
from tidewire.core.errors import BusError
from tidewire.hub.nodes import BEAT_EVERY_S, CHANNEL, SILENT_AFTER_S, Nodes


class Three:
    """Three nodes on one bus and one clock."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.bus: Bus = MemoryBus(self.clock)
        self.stages = [Stage() for _ in range(3)]
        self.nodes = [
            Nodes(self.bus, stage.hub, self.clock, f"n{number}") for number, stage in enumerate(self.stages, 1)
        ]

    async def client(self, which: int, token: str) -> Client:
        """Connect to one of them."""
        return await self.stages[which].client(token)


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[Three]:
    """Yield three nodes that know each other."""
    three = Three()
    await three.bus.start()
    for node in three.nodes:
        await node.start()
    try:
        yield three
    finally:
        for node in three.nodes:
            await node.stop()
        await three.bus.stop()


async def test_nodes_know_each_other_at_once_and_forget_the_silent() -> None:
    """Known from the start, gone with a goodbye at once, and without one after three beats."""
    async with started() as three:
        assert [[info.name for info in node.living()] for node in three.nodes] == [
            ["n1", "n2", "n3"], ["n2", "n1", "n3"], ["n3", "n1", "n2"],
        ]  # fmt: skip
        await three.nodes[2].stop()
        assert [info.name for info in three.nodes[0].living()] == ["n1", "n2"]
        await three.clock.advance(BEAT_EVERY_S * 4)
        assert [info.name for info in three.nodes[0].living()] == ["n1", "n2"]
        await three.nodes[1]._loop.stop()
        await three.clock.advance(SILENT_AFTER_S + BEAT_EVERY_S)
        assert [info.name for info in three.nodes[0].living()] == ["n1"]


async def test_connections_of_all_nodes_are_listed() -> None:
    """By node, with the whole count even where the list is cut short."""
    async with started() as three:
        for number in range(5):
            await three.client(number % 3, f"user-{number + 1}")
        found = await three.nodes[1].connections()
        listed = {name: [info.user_id for info in infos] for name, infos in found.connections.items()}
        assert listed == {"n1": [1, 4], "n2": [2, 5], "n3": [3]}
        assert (found.count, found.silent) == (5, [])
        short = await three.nodes[1].connections(limit=1)
        assert short.count == 5
        assert {name: len(infos) for name, infos in short.connections.items()} == {"n1": 1, "n2": 1, "n3": 1}


@pytest.mark.parametrize("asked", [0, 2])
async def test_a_connection_is_closed_on_whichever_node_it_is(asked: int) -> None:
    """One is closed with 4503, the others stay; an unknown one closes nothing."""
    async with started() as three:
        clients = [await three.client(which, "user-1") for which in range(3)]
        found = await three.nodes[asked].force_disconnect(clients[2].session.connection_id)
        assert (found.count, found.silent) == (1, [])
        assert [client.socket.closed for client in clients] == [None, None, (4503, "force_disconnect")]
        assert (await three.nodes[asked].force_disconnect("c-unknown")).count == 0


async def test_a_user_is_reached_on_every_node() -> None:
    """Every connection of that user, nobody else's; the count is that of all nodes."""
    async with started() as three:
        clients = [await three.client(which, token) for which, token in enumerate(("user-1", "user-2", "user-1"))]
        for client in clients:
            client.read()
        found = await three.nodes[1].send_to_user(1, protocol.encode(protocol.Heartbeat(timestamp=1.0)))
        assert found.count == 2
        assert [len(client.read("heartbeat")) for client in clients] == [1, 0, 1]


async def test_a_node_that_does_not_answer_is_named() -> None:
    """Known a moment ago, silent now: the list has the others and says who is missing."""
    async with started() as three:
        subscription = three.nodes[2]._subscription
        assert subscription is not None
        subscription.close()
        async with asyncio.timeout(20):
            found = await three.nodes[0].connections()
        assert (sorted(found.connections), found.silent) == (["n1", "n2"], ["n3"])


async def test_cut_off_from_the_bus_a_node_counts_nobody_as_dead() -> None:
    """It asks in vain, names everybody as silent, and knows them still; nothing is raised."""
    async with started() as three:
        await three.bus.stop()
        await three.clock.advance(SILENT_AFTER_S * 2)
        with pytest.raises(BusError):
            three.bus.publish(CHANNEL, [b"x"])
        found = await three.nodes[0].connections()
        assert (list(found.connections), found.silent) == (["n1"], ["n2", "n3"])
        assert len(three.nodes[0].living()) == 3


async def test_foreign_bytes_are_counted() -> None:
    """Noise and half messages on the channel disturb nobody."""
    async with started() as three:
        for noise in (b"", b"\xc1", b"\x81\xa4type\xa4beat", b"hello"):
            three.bus.publish(CHANNEL, [noise])
        assert three.nodes[0].statistics()["malformed"] == 4
        assert len(three.nodes[0].living()) == 3
