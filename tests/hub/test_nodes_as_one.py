"""Lists, kicks and messages to a user reach every node, and a node that does not answer is named."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any, get_args

import msgspec
import pytest

from tests.hub.conftest import Client, Stage
from tests.support.clock import HandClock
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.core import protocol
from tidewire.core.errors import BusError
from tidewire.hub.census import ConnectionQuery, ConnectionRow, SortKey, sort_value
from tidewire.hub.everywhere import Everywhere, Sent
from tidewire.hub.nodes import BEAT_EVERY_S, CHANNEL, GONE_AFTER_S, SILENT_AFTER_S, Nodes


class Three:
    """Three nodes on one bus and one clock."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.clock = HandClock()
        self.bus: Bus = MemoryBus(self.clock)
        self.stages = [Stage() for _ in range(3)]
        self.nodes = [
            Nodes(self.bus, self.clock, name, count=stage.hub.connection_count, answer_within_s=0.2)
            for name, stage in zip(names, self.stages, strict=True)
        ]
        self.everywhere = [Everywhere(node, stage.hub) for node, stage in zip(self.nodes, self.stages, strict=True)]

    async def client(self, which: int, token: str) -> Client:
        """Connect to one of them."""
        return await self.stages[which].client(token)


@contextlib.asynccontextmanager
async def started(*names: str) -> AsyncIterator[Three]:
    """Yield three nodes that know each other."""
    three = Three(names or ("n1", "n2", "n3"))
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
        await three.nodes[1].rounds.loop.stop()
        await three.clock.advance(SILENT_AFTER_S + BEAT_EVERY_S)
        assert [info.name for info in three.nodes[0].living()] == ["n1"]


async def every_page(where: Everywhere, query: ConnectionQuery, node: str = "") -> list[ConnectionRow]:
    """Follow the pages to the end."""
    rows: list[ConnectionRow] = []
    while True:
        page = await where.connections(query, node)
        rows += page.rows
        if page.after is None:
            assert page.matching == len(rows)
            return rows
        query = msgspec.structs.replace(query, after=page.after)


@pytest.mark.parametrize("sort", get_args(SortKey))
@pytest.mark.parametrize("descending", [False, True])
async def test_pages_of_all_nodes_are_one_list(sort: SortKey, descending: bool) -> None:
    """Whatever the order and the length of a page: every connection once, sorted over all nodes."""
    async with started() as three:
        ids = set()
        for number in range(11):
            client = await three.client(number % 3, f"user-{number * 7 % 5 + 1}")
            ids.add(client.session.connection_id)
            for room in range(number % 4):
                client.send("subscribe", room_id=f"app:r{room}")
            await three.stages[number % 3].clock.advance(0.5 * number)
        for limit in (1, 2, 4, 11, 200):
            rows = await every_page(three.everywhere[1], ConnectionQuery(sort=sort, descending=descending, limit=limit))
            assert {row.connection_id for row in rows} == ids
            values = [(sort_value(row, sort), row.connection_id) for row in rows]
            assert values == sorted(values, reverse=descending)
        assert {row.node for row in rows} == {"n1", "n2", "n3"}
        assert {row.instance for row in rows} == {node.node for node in three.nodes}


async def test_lists_are_filtered_by_the_nodes() -> None:
    """By user (name or number), room, address, node (name or instance) and slowness; the counts tell what matched."""
    async with started() as three:
        for number in range(6):
            client = await three.client(number % 3, f"user-{number % 2 + 1}")
            if number < 2:
                client.send("subscribe", room_id="app:desk")
        where = three.everywhere[0]

        async def ids(node: str = "", **query: Any) -> list[tuple[int | None, str]]:
            rows = await every_page(where, ConnectionQuery(**query), node)
            return sorted((row.user_id, row.node) for row in rows)

        ones = [(1, "n1"), (1, "n2"), (1, "n3")]
        assert await ids(user="user-1") == await ids(user="1") == ones
        assert await ids(room="app:desk") == [(1, "n1"), (2, "n2")]
        assert await ids("n2") == await ids(three.nodes[1].node) == [(1, "n2"), (2, "n2")]
        assert await ids(ip="192.0.2.9") == await ids(user="nobody") == await ids(slow=True) == []
        page = await where.connections(ConnectionQuery(user="2", limit=1))
        assert [(each.node, each.total, each.matching) for each in page.nodes] == [
            ("n1", 2, 1),
            ("n2", 2, 1),
            ("n3", 2, 1),
        ]
        stuck = await three.client(2, "user-3")
        stuck.socket.stuck = True
        three.stages[2].hub.send_to_user(3, protocol.encode(protocol.Heartbeat(timestamp=1.0)))
        rows = await every_page(where, ConnectionQuery(slow=True))
        assert [row.connection_id for row in rows] == [stuck.session.connection_id]


@pytest.mark.parametrize("asked", [0, 2])
async def test_a_connection_is_found_and_closed_on_whichever_node_it_is(asked: int) -> None:
    """One is closed with 4503, the others stay; an unknown one closes nothing, and everybody has said so."""
    async with started() as three:
        clients = [await three.client(which, "user-1") for which in range(3)]
        where, wanted = three.everywhere[asked], clients[2].session.connection_id
        found = await where.connection(wanted)
        assert found.connection is not None
        assert (found.connection.node, found.connection.rooms) == ("n3", ["user:1"])
        done = await where.disconnect(wanted)
        assert done.connection is not None
        assert (done.connection.node, done.was_closing) == ("n3", False)
        assert [client.socket.closed for client in clients] == [None, None, (4503, "force_disconnect")]
        assert (await where.disconnect(wanted)).was_closing
        nobody = await where.disconnect("c-unknown")
        assert (nobody.connection, nobody.certain) == (None, True)


async def test_sending_reaches_every_node() -> None:
    """A user, one connection, the holders of a permission, everybody: the count is that of all nodes."""
    async with started() as three:
        clients = [await three.client(which, token) for which, token in enumerate(("user-1", "admin-2", "user-1"))]
        where, note = three.everywhere[1], protocol.encode(protocol.Heartbeat(timestamp=1.0))

        async def reach(sending: Awaitable[Sent]) -> list[int]:
            for client in clients:
                client.read()
            sent = await sending
            assert (sent.silent, sent.cut_off) == ([], "")
            got = [len(client.read("heartbeat")) for client in clients]
            assert sent.reached == sum(got)
            return got

        assert await reach(where.send_to_user(1, note)) == [1, 0, 1]
        assert await reach(where.send_to_connection(clients[2].session.connection_id, note)) == [0, 0, 1]
        assert await reach(where.send_to_holders("feed:control", note)) == [0, 1, 0]
        assert await reach(where.send_to_holders("", note)) == [1, 1, 1]
        assert await reach(where.send_to_user(9, note)) == [0, 0, 0]


async def test_a_node_that_does_not_answer_is_named() -> None:
    """Known a moment ago, silent now: the list has the others and says who is missing; so says a kick in vain.

    What the others have is found and closed all the same. After a minute nobody can be there any more.
    """
    async with started() as three:
        client = await three.client(1, "user-1")
        lost = await three.client(2, "user-1")
        three.nodes[2].rounds.listening.stop()
        page = await three.everywhere[0].connections(ConnectionQuery())
        assert ([each.node for each in page.nodes], page.matching) == (["n1", "n2"], 1)
        assert [(each.node, each.instance, each.why) for each in page.silent] == [
            ("n3", three.nodes[2].node, "no_answer")
        ]
        vain = await three.everywhere[0].disconnect(lost.session.connection_id)
        assert (vain.connection, vain.certain, [each.node for each in vain.silent]) == (None, False, ["n3"])
        assert lost.socket.closed is None
        assert (await three.everywhere[0].disconnect(client.session.connection_id)).connection is not None
        await three.nodes[2].rounds.loop.stop()
        await three.clock.advance(SILENT_AFTER_S + BEAT_EVERY_S)
        vain = await three.everywhere[0].disconnect(lost.session.connection_id)
        assert [(each.node, each.why) for each in vain.silent] == [("n3", "overdue")]
        await three.clock.advance(GONE_AFTER_S)
        assert (await three.everywhere[0].disconnect(lost.session.connection_id)).certain


async def test_a_node_of_another_version_is_named() -> None:
    """A question that it does not know is not an answer of nothing."""
    async with started() as three:
        del three.nodes[1].handlers["connection"]
        found = await three.everywhere[0].connection("c-unknown")
        assert [(each.node, each.why) for each in found.silent] == [("n2", "other_version")]


async def test_lives_of_one_name_are_not_mixed() -> None:
    """Two processes with one name, as during a rolling restart: each has its own row, and the end of one is its own."""
    async with started("web", "web", "web") as three:
        clients = [await three.client(which, "user-1") for which in range(3)]
        page = await three.everywhere[0].connections(ConnectionQuery())
        assert len(page.rows) == len({row.instance for row in page.rows}) == len(page.nodes) == 3
        assert [each.name for each in three.nodes[0].living()] == ["web"] * 3
        await three.nodes[1].stop()
        assert [each.node for each in three.nodes[0].living()] == [three.nodes[0].node, three.nodes[2].node]
        page = await three.everywhere[0].connections(ConnectionQuery(), three.nodes[2].node)
        assert [row.connection_id for row in page.rows] == [clients[2].session.connection_id]
        gone = await three.everywhere[0].disconnect(clients[1].session.connection_id)
        assert (gone.connection, gone.certain) == (None, True)


async def test_cut_off_from_the_bus_a_node_counts_nobody_as_dead() -> None:
    """It asks in vain, names everybody as silent, says why, and knows them still; back again, nobody is missing."""
    async with started() as three:
        await three.bus.stop()
        await three.clock.advance(GONE_AFTER_S * 2)
        with pytest.raises(BusError):
            three.bus.publish(CHANNEL, [b"x"])
        page = await three.everywhere[0].connections(ConnectionQuery())
        assert [each.node for each in page.silent] == ["n2", "n3"]
        assert page.cut_off == "the bus is down: stopped"
        assert len(three.nodes[0].living()) == 3
        await three.bus.start()
        page = await three.everywhere[0].connections(ConnectionQuery())
        assert (len(page.nodes), page.silent, page.cut_off) == (3, [], "")


async def test_foreign_bytes_are_counted() -> None:
    """Noise and half messages on the channel disturb nobody."""
    async with started() as three:
        for noise in (b"", b"\xc1", b"\x81\xa4type\xa4beat", b"hello"):
            three.bus.publish(CHANNEL, [noise])
        assert three.nodes[0].statistics()["malformed"] == 4
        assert len(three.nodes[0].living()) == 3


async def test_a_mute_node_is_waited_for_once() -> None:
    """Who did not answer in time is not waited for again by who is in a hurry, until it says something."""

    async def ask(*, patient: bool) -> tuple[bool, list[str]]:
        """Return whether the answer came at once, and who is missing."""
        asking = asyncio.ensure_future(three.nodes[0].ask("connection", msgspec.msgpack.encode("c"), patient=patient))
        for _ in range(20):
            await asyncio.sleep(0)
        return asking.done(), [each.node for each in (await asking).silent]

    async with started() as three:
        assert await ask(patient=False) == (True, [])
        three.nodes[2].rounds.listening.stop()
        assert await ask(patient=False) == (False, ["n3"])
        assert await ask(patient=False) == (True, ["n3"])
        assert await ask(patient=True) == (False, ["n3"])
        await three.clock.advance(BEAT_EVERY_S)
        assert await ask(patient=False) == (False, ["n3"])
