"""Two nodes on one broker: what is published on one is received, resumed and judged alike on the other."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.support.nodes import Node, NodeClient, make_node, nodes
from tests.support.valkey import valkey, valkey_url
from tests.support.waiting import eventually, until
from tidewire.hub.room_counts import RoomCounts

__all__ = ["valkey", "valkey_url"]


@pytest.fixture
def room() -> str:
    """A room of one's own: the server is shared by the session."""
    return f"app:{uuid.uuid4().hex}"


@pytest.fixture
async def pair(valkey_url: str) -> Any:
    """Two started nodes."""
    async with nodes(valkey_url, valkey_url) as made:
        yield made


async def publish(client: NodeClient, room: str, *data: Any) -> list[int]:
    """Publish in order; return the offsets."""
    offsets = []
    for each in data:
        reply = await client.ask("publish", room_id=room, data=each)
        assert reply["ok"], reply
        offsets.append(reply["data"]["offset"])
    return offsets


async def test_what_one_node_publishes_the_other_receives(pair: list[Node], room: str) -> None:
    """Same epoch, same offsets, same order on both nodes; the publisher needs not be inside."""
    a, b = await pair[0].client("admin-1"), await pair[1].client("user-2")
    entered = await b.enter(room)
    assert await publish(a, room, "one", "two") == [1, 2]
    assert await b.messages(room, 2) == [(1, "one"), (2, "two")]
    again = await a.enter(room, since={"epoch": entered["epoch"], "offset": 0})
    assert (again["recovered"], again["replayed"], again["epoch"]) == (True, 2, entered["epoch"])
    assert await a.messages(room, 2) == [(1, "one"), (2, "two")]
    await publish(a, room, "three")
    for client in (a, b):
        assert await client.messages(room, 1) == [(3, "three")]


async def test_a_client_resumes_on_the_other_node(pair: list[Node], room: str) -> None:
    """Cut on one node, back on the other, where nobody is inside: everything missed, once, then live."""
    writer, reader = await pair[0].client("admin-1"), await pair[0].client("user-2")
    await reader.enter(room)
    await publish(writer, room, "seen")
    seen = await reader.take("room_message")
    reader.lose()
    await publish(writer, room, *range(20))
    elsewhere = await pair[1].client("user-2")
    entered = await elsewhere.enter(room, since={"epoch": seen["epoch"], "offset": seen["offset"]})
    assert (entered["recovered"], entered["replayed"], entered["offset"]) == (True, 20, 21)
    assert await elsewhere.messages(room, 20) == [(n + 2, n) for n in range(20)]
    await publish(writer, room, "live")
    assert await elsewhere.messages(room, 1) == [(22, "live")]


async def test_a_client_that_is_ahead_of_its_node_waits_for_the_log(pair: list[Node], room: str) -> None:
    """A place that the node has not heard of yet is looked up; one that never was is told as such."""
    writer, reader = await pair[0].client("admin-1"), await pair[1].client("user-2")
    entered = await reader.enter(room)
    await publish(writer, room, "x")
    later = await pair[1].client("user-3")
    answer = await later.enter(room, since={"epoch": entered["epoch"], "offset": 1})
    assert (answer["recovered"], answer["replayed"]) == (True, 0)
    answer = await later.enter(room, since={"epoch": entered["epoch"], "offset": 9})
    assert (answer["recovered"], answer["reason"], answer["offset"]) == (False, "offset_ahead", 1)
    answer = await later.enter(room, since={"epoch": "e-other", "offset": 1})
    assert (answer["recovered"], answer["reason"]) == (False, "epoch_changed")


async def test_a_repeated_publish_is_one_message(pair: list[Node], room: str) -> None:
    """The same ``op_id`` of the same user has one outcome, on whichever node it is sent again."""
    here, there = await pair[0].client("admin-1"), await pair[1].client("admin-1")
    stranger = await pair[1].client("admin-2")
    reader = await pair[1].client("user-3")
    await reader.enter(room)
    answers = [await client.ask("publish", room_id=room, data="x", op_id="op-1") for client in (here, there, stranger)]
    assert [answer["data"]["offset"] for answer in answers] == [1, 1, 2]
    await publish(here, room, "end")
    assert await reader.messages(room, 3) == [(1, "x"), (2, "x"), (3, "end")]


async def test_volatile_messages_cross_nodes_without_a_place(pair: list[Node], room: str) -> None:
    """They have no offset, are not remembered, and do not disturb those that have."""
    a, b = await pair[0].client("admin-1"), await pair[1].client("user-2")
    await b.enter(room)
    reply = await a.ask("publish", room_id=room, data="typing", volatile=True)
    assert (reply["data"]["epoch"], reply["data"]["offset"]) == (None, None)
    await publish(a, room, "kept")
    assert sorted(await b.messages(room, 2), key=str) == [(1, "kept"), (None, "typing")]
    late = await pair[0].client("user-3")
    assert (await late.enter(room, since=None))["offset"] == 1


async def test_leaving_on_the_way_in_is_leaving(pair: list[Node], room: str) -> None:
    """Subscribe and unsubscribe in one breath: not inside, each answered once, nothing comes."""
    client, writer = await pair[0].client("user-1"), await pair[1].client("admin-2")
    entering, leaving = client.send("subscribe", room_id=room), client.send("unsubscribe", room_id=room)
    left = await client.take(lambda message: message.get("id") == leaving)
    entered = await client.take(lambda message: message.get("id") == entering)
    assert (left["ok"], entered["ok"], entered["error"]["code"]) == (True, False, "conflict")
    await publish(writer, room, "x")
    assert (await client.ask("ping"))["ok"]
    assert not [message for message in client.inbox if message.get("room_id") == room and "offset" in message]


async def test_a_grant_that_goes_while_entering_counts(pair: list[Node]) -> None:
    """Revoked between the question and the log's answer: refused."""
    quote = f"quote:{uuid.uuid4()}"
    client = await pair[0].client("user-1")
    number = client.send("subscribe", room_id=quote)
    assert client.session.principal is not None
    pair[0].hub.standing.change_user(1, client.session.principal.role, frozenset())
    reply = await client.take(lambda message: message.get("id") == number)
    assert (reply["ok"], reply["error"]["code"]) == (False, "permission_denied")


async def test_many_publishers_on_both_nodes_make_one_order(pair: list[Node], room: str) -> None:
    """400 publishes from eight connections of two nodes: every reader sees the same 400 in the same order."""
    readers = [await node.client(f"user-{n}") for n, node in enumerate(pair * 2, 10)]
    for reader in readers:
        await reader.enter(room)
    writers = [await node.client(f"admin-{n}") for n, node in enumerate(pair * 4, 1)]

    async def write(writer: NodeClient, number: int) -> None:
        for n in range(50):
            assert (await writer.ask("publish", room_id=room, data=[number, n]))["ok"]

    await asyncio.gather(*(write(writer, number) for number, writer in enumerate(writers)))
    logs = [await reader.messages(room, 400) for reader in readers]
    assert [offset for offset, _ in logs[0]] == list(range(1, 401))
    assert all(log == logs[0] for log in logs)


async def reached(writer: NodeClient, room: str, count: int) -> None:
    """Publish until that many are reached: each node says now and then how many it has."""
    await eventually(
        lambda: writer.ask("publish", room_id=room, data="x"), lambda reply: reply["data"]["reached"] == count
    )


async def test_reached_counts_the_connections_of_all_nodes(pair: list[Node], room: str) -> None:
    """As soon as each node has said how many it has; also for a publisher whose node has nobody inside."""
    readers = [await pair[1].client(f"user-{number}") for number in (2, 3, 4)]
    for reader in readers:
        await reader.enter(room)
    writer = await pair[0].client("admin-1")

    await reached(writer, room, 3)
    await writer.enter(room)
    await reached(writer, room, 4)
    readers[0].lose()
    await reached(writer, room, 3)
    late = RoomCounts(pair[0].bus, "late", dict)
    late.start()
    await until(lambda: late.elsewhere(room) == (3, []), 20)
    pair[0].hub.know_nodes(None, lambda: ({"nobody"}, ["node-2"]))  # type: ignore[arg-type]
    data = (await writer.ask("publish", room_id=room, data="x"))["data"]
    assert (data["reached"], data["not_counted"]) == (1, ["node-2"])
    late.stop()


async def test_two_lives_of_one_name_keep_their_own_members(valkey_url: str, room: str) -> None:
    """An old and a new process with one name, as in a rolling restart: each sees the other's members and counts."""
    old, new = make_node(valkey_url, "web"), make_node(valkey_url, "web")
    try:
        for node in (old, new):
            await node.start()
        for node, name in ((old, "user-1"), (new, "user-2")):
            await (await node.client(name)).enter(room, presence=True)
        for node in (old, new):
            await until(lambda node=node: {each.user_id for each in node.hub.members(room)} == {1, 2}, 20)  # type: ignore[misc]
        writer = await old.client("admin-3")
        await reached(writer, room, 2)
    finally:
        for node in (old, new):
            await node.stop()
