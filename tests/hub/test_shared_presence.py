"""Presence over two nodes: one user, one member, wherever their connections are; the dead leave, the lost is found."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.support.nodes import QUICK, Node, NodeClient, nodes
from tests.support.quick_clock import QuickClock
from tests.support.valkey import BareClient, ValkeyProcess, valkey
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_members import RedisMembers
from tidewire.bus.room_log import channel_of
from tidewire.bus.room_members import LIFE_S
from tidewire.core.clock import SystemClock

__all__ = ["valkey"]
ROOM = "app:x"


@pytest.fixture
async def pair(valkey: ValkeyProcess) -> Any:
    """Two nodes whose seconds are a twentieth as long, also those that the broker counts for them."""
    async with nodes(valkey.url, valkey.url, clock=QuickClock(), members_s=LIFE_S / 20) as made:
        yield made


def users(event: dict[str, Any]) -> list[int]:
    """Who is in a presence_state."""
    assert event["count"] == len(event["members"])
    return sorted(member["user_id"] for member in event["members"])


async def state(client: NodeClient) -> list[int]:
    """Enter, and return who is inside."""
    await client.enter(ROOM, presence=True)
    return users(await client.take(lambda message: message.get("event") == "presence_state"))


async def event(client: NodeClient, kind: str) -> int:
    """Return the user of the next such event."""
    found = await client.take(lambda message: message.get("event") == kind, 30.0)
    number: int = found["member"]["user_id"]
    return number


async def test_members_of_all_nodes_are_present(pair: list[Node]) -> None:
    """Who comes later sees those of the other node; who is inside is told; the page asks any node."""
    a, b = await pair[0].client("user-1"), await pair[1].client("user-2")
    assert await state(a) == [1]
    assert await state(b) == [1, 2]
    assert await event(a, "member_joined") == 2
    for node in pair:
        assert sorted(member.user_id for member in node.hub.members(ROOM)) == [1, 2]
    b.lose()
    assert await event(a, "member_left") == 2


async def test_a_user_on_two_nodes_is_one_member(pair: list[Node]) -> None:
    """Coming a second time elsewhere is no news; only the last of all connections is leaving."""
    watcher = await pair[0].client("user-9")
    await state(watcher)
    first, second = await pair[0].client("user-1"), await pair[1].client("user-1")
    await first.enter(ROOM)
    assert await event(watcher, "member_joined") == 1
    assert await state(second) == [1, 9]
    first.lose()
    third = await pair[1].client("user-2")
    await third.enter(ROOM)
    assert await event(watcher, "member_joined") == 2
    third.lose()
    assert await event(watcher, "member_left") == 2
    second.lose()
    assert await event(watcher, "member_left") == 1
    joined = [m for m in watcher.inbox if m.get("event") in ("member_joined", "member_left")]
    assert joined == []


async def test_members_of_a_node_that_died_leave(valkey: ValkeyProcess, pair: list[Node]) -> None:
    """Cut off like a killed process: nothing is said, and yet they have left within the bound of 30 s."""
    clock = QuickClock()
    watcher, lost = await pair[0].client("user-1"), await pair[1].client("user-2")
    await state(watcher)
    await lost.enter(ROOM)
    assert await event(watcher, "member_joined") == 2
    # A clean stop says goodbye; a killed process does not. Its connections are cut before it can.
    for part in (pair[1].log, pair[1].bus):
        await part.stop()
    began = clock.monotonic()
    assert await event(watcher, "member_left") == 2
    # 27 s is the promise; a crowded machine needs some more of these short seconds to notice.
    assert clock.monotonic() - began < 120


async def test_a_change_that_was_lost_is_found(valkey: ValkeyProcess, pair: list[Node]) -> None:
    """Written down but never announced, and the other way round: compared every few seconds."""
    watcher, other = await pair[0].client("user-1"), await pair[1].client("user-2")
    await state(watcher)
    await other.enter(ROOM)
    assert await event(watcher, "member_joined") == 2
    log = RedisRoomLog(valkey.url, SystemClock(), random.Random(1), limits=QUICK)
    await log.start()
    written = {"6": b'{"more":' + b"[" * 9_000, "7": b'{"user_id":7,"username":"g","joined_at":1.0}'}
    await RedisMembers(log.commands).write(ROOM, "node-3", written, [])
    assert await event(watcher, "member_joined") == 7
    noise = channel_of(ROOM)
    for payload in ("@", '@["x"]', '@["node-4",{"user_id":8,"username":"h","joined_at":1.0},true]'):
        await BareClient(valkey.port).command("PUBLISH", noise, payload)
    assert await event(watcher, "member_joined") == 8
    assert await event(watcher, "member_left") == 8
    await log.stop()


async def test_the_broker_forgets_and_is_told_again(valkey: ValkeyProcess, pair: list[Node]) -> None:
    """FLUSHALL: members are written down again, a node that comes later finds them, and nobody is told they left."""
    a, b = await pair[0].client("user-1"), await pair[1].client("user-2")
    await state(a)
    assert await state(b) == [1, 2]
    assert await BareClient(valkey.port).command("FLUSHALL") == b"+OK"
    async with nodes(valkey.url, clock=QuickClock(), members_s=LIFE_S / 20) as (third,):
        late = await third.client("user-3")
        found = set(await state(late))
        while found != {1, 2, 3}:
            found.add(await event(late, "member_joined"))
    assert not [message for message in [*a.inbox, *a.socket.read()] if message.get("event") == "member_left"]
