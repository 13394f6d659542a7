"""When the broker goes away: everybody is told, publishes are refused at once, and afterwards everything is there."""

from __future__ import annotations

import asyncio

from tests.support.fault_proxy import FaultProxy
from tests.support.nodes import nodes
from tests.support.valkey import BareClient, ValkeyProcess, valkey

__all__ = ["valkey"]
ROOM = "app:x"


async def test_everybody_is_told_that_rooms_are_cut_off_and_that_they_are_back(valkey: ValkeyProcess) -> None:
    """SIGSTOP: degraded, publish and subscribe refused as temporary, sockets stay; SIGCONT: restored, and it works."""
    async with nodes(valkey.url) as (node,):
        client = await node.client("admin-1")
        await client.enter(ROOM)
        valkey.freeze()
        refused = await client.ask("publish", room_id=ROOM, data="x", op_id="op-1")
        assert (refused["error"]["code"], refused["error"]["temporary"]) == ("broker_unavailable", True)
        degraded = await client.take(lambda message: message.get("status") == "degraded")
        assert degraded["reason"] == "broker_unavailable"
        assert "not keep" in degraded["message"]
        # Many more than the ten wrong messages that close a connection for good: these are not the client's fault.
        for _ in range(15):
            refused = await client.ask("subscribe", room_id="app:other")
            assert (refused["error"]["code"], refused["error"]["temporary"]) == ("broker_unavailable", True)
        valkey.thaw()
        await client.take(lambda message: message.get("status") == "restored")
        async with asyncio.timeout(45):
            while not (reply := await client.ask("publish", room_id=ROOM, data="x", op_id="op-1"))["ok"]:
                assert reply["error"]["temporary"]
        assert await client.messages(ROOM, 1) == [(1, "x")]
        assert client.socket.closed is None


async def test_a_broker_that_takes_no_writes_is_told_like_one_that_is_away(valkey: ValkeyProcess) -> None:
    """It becomes a replica, nobody is cut: degraded, publishes refused as temporary; then restored, and there once."""
    broker = BareClient(valkey.port)
    async with nodes(valkey.url, valkey.url) as (here, there):
        writer, reader = await here.client("admin-1"), await there.client("user-1")
        for client in (writer, reader):
            await client.enter(ROOM)
        assert await broker.command("REPLICAOF", "127.0.0.1", "1") == b"+OK"
        refused = await writer.ask("publish", room_id=ROOM, data="x", op_id="op-1")
        assert refused["error"]["code"] in ("broker_readonly", "broker_unavailable")
        assert refused["error"]["temporary"]
        for client in (writer, reader):
            await client.take(lambda message: message.get("status") == "degraded")
        assert await broker.command("REPLICAOF", "NO", "ONE") == b"+OK"
        for client in (writer, reader):
            await client.take(lambda message: message.get("status") == "restored")
        async with asyncio.timeout(45):
            while not (reply := await writer.ask("publish", room_id=ROOM, data="x", op_id="op-1"))["ok"]:
                assert reply["error"]["temporary"]
        for client in (writer, reader):
            assert await client.messages(ROOM, 1) == [(1, "x")]
            assert client.socket.closed is None


async def test_a_node_that_was_cut_off_hears_what_it_missed_without_a_further_message(valkey: ValkeyProcess) -> None:
    """Published while one node was away, nothing after it: there as soon as the node is back, by the gap alone."""
    async with (
        FaultProxy(valkey.port) as proxy,
        nodes(f"redis://127.0.0.1:{proxy.port}/0", valkey.url) as (away, here),
    ):
        reader, writer = await away.client("user-1"), await here.client("admin-2")
        await reader.enter(ROOM)
        proxy.set("blackhole")
        await reader.take(lambda message: message.get("status") == "degraded")
        assert (await writer.ask("publish", room_id=ROOM, data="missed"))["ok"]
        assert reader.socket.read("room_message") == []
        proxy.set("refuse")
        proxy.reset()
        proxy.set("pass")
        assert await reader.messages(ROOM, 1) == [(1, "missed")]
        shared = away.hub.statistics().shared
        assert (shared["healed"], shared["behind"]) == (0, 0)
        assert shared["catch_ups"] > 0


async def test_what_was_missed_waits_until_permissions_are_known(valkey: ValkeyProcess) -> None:
    """A revocation made while the node was away is applied before anything that was published after it is sent on."""
    async with (
        FaultProxy(valkey.port) as proxy,
        nodes(f"redis://127.0.0.1:{proxy.port}/0", valkey.url) as (away, here),
    ):
        room = "quote:0b1f6d9a-9d3e-4a57-8f3e-0a1b2c3d4e5f"
        reader, stays = await away.client("user-1"), await away.client("user-2")
        for client in (reader, stays):
            await client.enter(room)
        role = reader.session.principal.role if reader.session.principal else None
        assert role is not None
        asked = []

        async def confirm() -> None:
            asked.append(away.hub.statistics().shared["behind"])
            away.hub.standing.change_user(1, role, frozenset())

        away.hub.confirm_before_catch_up(confirm)
        proxy.set("blackhole")
        await reader.take(lambda message: message.get("status") == "degraded")
        for _ in range(3):
            await here.hub.post(room, {"plain": b'{"data":1}', "premium": b'{"data":2}'})
        proxy.set("pass")
        proxy.reset()
        assert len(await stays.messages(room, 3)) == 3
        assert await reader.take("unsubscribed")
        assert asked
        assert not [message for message in [*reader.inbox, *reader.socket.read()] if message.get("data")]
