"""The limit of ten connections for a user holds over two processes on one real Valkey, and nobody dead counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.test_two_processes import both
from tests.support.platform import Served
from tests.support.valkey import BareClient, ValkeyProcess, valkey
from tests.support.waiting import eventually, until
from tests.support.ws_client import RawClient

__all__ = ["valkey"]
LIMIT = 10
# bob is user 2.
KEY = "tidewire:user:{2}:connections"


class Tabs:
    """bob's connections."""

    def __init__(self, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack
        self.open: list[RawClient] = []

    async def connect(self, site: Served) -> int | None:
        """Open one; return None if welcomed, else the close code."""
        tab = await self._stack.enter_async_context(site.raw("bob"))
        first = await tab.expect("connection")
        if first["status"] == "connected":
            self.open.append(tab)
            return None
        assert (first["status"], await tab.close_code()) == ("closing", first["code"])
        code: int = first["code"]
        return code


@pytest.fixture
async def tabs() -> AsyncIterator[Tabs]:
    """None yet."""
    async with contextlib.AsyncExitStack() as stack:
        yield Tabs(stack)


# Sum of what all nodes have written of bob.
SUM = "local n = 0; for _, v in ipairs(redis.call('HVALS', KEYS[1])) do n = n + tonumber(v) end; return n"


async def told(server: ValkeyProcess, count: int) -> None:
    """Return when the numbers that the nodes have written of bob make so many."""
    await eventually(
        lambda: BareClient(server.port).command("EVAL", SUM, "1", KEY),
        lambda sum_: sum_ == b":%d" % count,
        ceiling_s=60,
    )


async def written(*sites: Served) -> None:
    """Return when nothing waits to be written, so that what is written next has a cause of its own."""
    await until(lambda: not any(site.side.hub.statistics().limit["unwritten"] for site in sites))


async def test_ten_over_both_nodes_and_no_more(tmp_path: Path, valkey: ValkeyProcess, tabs: Tabs) -> None:
    """Six here and four there: the next is closed with 4504 on either; when one has gone, one may come, on any node."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        for site in (one, two, one, two, one, two, one, two, one, one):
            assert await tabs.connect(site) is None
        assert [await tabs.connect(site) for site in (one, two)] == [4504, 4504]
        await written(one, two)
        await told(valkey, LIMIT)
        tabs.open.pop().writer.close()
        await told(valkey, LIMIT - 1)
        assert [await tabs.connect(site) for site in (two, one, two)] == [None, 4504, 4504]
        async with one.raw("mod") as mod:
            await mod.expect("connection", status="connected")


async def test_thirty_at_once_over_both_nodes_are_ten(tmp_path: Path, valkey: ValkeyProcess, tabs: Tabs) -> None:
    """However they race, exactly the limit is let in, and the numbers come to rest there."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        codes = await asyncio.gather(*(tabs.connect(site) for site in (one, two) * 15))
        assert Counter(codes) == {None: LIMIT, 4504: 20}
        await told(valkey, LIMIT)
        assert one.side.hub.user_connections(2) + two.side.hub.user_connections(2) == LIMIT


async def test_the_dead_refuse_nobody(tmp_path: Path, valkey: ValkeyProcess, tabs: Tabs) -> None:
    """What a killed process has written is still there: the living are asked before somebody is refused."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await BareClient(valkey.port).command("HSET", KEY, "web:killed", str(LIMIT))
        for _ in range(LIMIT):
            assert await tabs.connect(one) is None
        assert [await tabs.connect(site) for site in (one, two)] == [4504, 4504]
        assert one.side.hub.statistics().limit["asked"] >= 1


async def test_a_broker_that_forgot_is_told_again(tmp_path: Path, valkey: ValkeyProcess, tabs: Tabs) -> None:
    """Away: newcomers are sent away with 4100, those inside stay; back without its data: the limit still holds."""
    async with asyncio.timeout(90), both(tmp_path, valkey.url) as (one, two):
        for site in (one, two) * 5:
            assert await tabs.connect(site) is None
        await written(one, two)
        valkey.kill()
        for tab in tabs.open:
            await tab.expect("connection", status="degraded")
        assert await tabs.connect(one) == 4100
        valkey.start()
        for tab in tabs.open:
            await tab.expect("connection", status="restored")
        await told(valkey, LIMIT)
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        assert [await tabs.connect(site) for site in (one, two)] == [4504, 4504]


async def test_a_draining_node_keeps_nobody_out(tmp_path: Path, valkey: ValkeyProcess, tabs: Tabs) -> None:
    """Ten tabs of a node that is ended come back to the other one: a connection that is being closed counts no more."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        for _ in range(LIMIT):
            assert await tabs.connect(two) is None
        old, tabs.open = tabs.open, []
        draining = asyncio.ensure_future(two.side.hub.drain(0.5))
        for tab in old:
            await tab.expect("connection", status="closing")
            assert await tabs.connect(one) is None
        await draining
