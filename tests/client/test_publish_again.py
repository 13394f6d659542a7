"""A publish whose answer was cut off is published once, by both clients, against real servers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.app.test_rooms_api import make_key
from tests.app.test_two_processes import both
from tests.support.fault_proxy import FaultProxy
from tests.support.node_client import node_client
from tests.support.proxied_hub import hub_and_proxy, make_client
from tests.support.quick_clock import QuickClock
from tests.support.valkey import ValkeyProcess, valkey
from tidewire.client import Client, Message, OutcomeUnknown, Room

__all__ = ["valkey"]
LOBBY = "app:lobby"
CUTS = 8


async def texts(room: Room, count: int) -> list[tuple[int | None, Any]]:
    """Return place and data of the next messages."""
    found = []
    while len(found) < count:
        event = await anext(room)
        if isinstance(event, Message):
            found.append((event.offset, event.data))
    return found


async def test_cut_before_every_answer_each_publish_is_one_message() -> None:
    """The python client, one process: eight publishes, eight cuts, eight messages in order, no doubt left."""
    async with hub_and_proxy() as (server, proxy, url), make_client(server.url, "admin-9") as reader:
        room = reader.subscribe(LOBBY)
        await room.entered()
        async with asyncio.timeout(60), make_client(url) as client:
            for number in range(CUTS):
                await client.connected()
                # The first byte of the answer goes through, the rest never comes.
                proxy.cut_after = 1
                done = await client.publish(LOBBY, number)
                assert done.offset == number + 1
            assert client.statistics()["dialed"] == CUTS + 1
            await client.publish(LOBBY, "end")
            assert await texts(room, CUTS + 1) == [*((n + 1, n) for n in range(CUTS)), (CUTS + 1, "end")]
            proxy.cut_after = 1
            with pytest.raises(OutcomeUnknown):
                await client.publish(LOBBY, "typing", volatile=True)


async def test_the_typescript_client_publishes_once_too() -> None:
    """The same with the other client: its own names, the same promise."""
    async with hub_and_proxy() as (server, proxy, url), make_client(server.url, "admin-9") as reader:
        room = reader.subscribe(LOBBY)
        await room.entered()
        async with asyncio.timeout(60), node_client(url, token="admin-3") as node:
            said = 0
            for number in range(CUTS):
                await node.link("connected", since=said)
                said = len(node.log)
                proxy.cut_after = 1
                node.tell("publish", op=number, room=LOBBY, data=number)
                line = await node.heard(lambda line, op=number: line.get("op") == op)  # type: ignore[misc]
                assert (line["ok"], line["published"]["offset"]) == (True, number + 1), line
                # The connection that brought the answer is the one after the cut.
                await node.link("waiting", since=said)
            assert await texts(room, CUTS) == [(n + 1, n) for n in range(CUTS)]


async def test_cut_on_one_node_published_again_on_the_other(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Two processes on one Valkey: the answer is cut on one, the publish repeated on the other; one message each."""
    async with asyncio.timeout(90), both(tmp_path, valkey.url) as (one, two), FaultProxy(one.port) as proxy:
        key = (await make_key(one, "ada", "rooms:publish")).key
        url = f"ws://127.0.0.1:{proxy.port}/ws"
        async with (
            Client(two.url, bearer=key) as reader,
            Client(url, bearer=key, clock=QuickClock()) as client,
        ):
            room = reader.subscribe(LOBBY)
            await room.entered()
            for number in range(CUTS):
                await client.connected()
                proxy.cut_after, proxy._target = 1, (one, two)[(number + 1) % 2].port
                done = await client.publish(LOBBY, number)
                assert done.offset == number + 1
            assert await texts(room, CUTS) == [(n + 1, n) for n in range(CUTS)]
            assert client.statistics()["dialed"] == CUTS + 1
