"""Both clients against the real hub behind its real gateway, through a proxy that misbehaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.hub_server import Doorman, fast_options, principal
from tests.support.node_client import NodeClient, data_of, node_client
from tests.support.proxied_hub import hub_and_proxy, make_client
from tests.support.quick_clock import QuickClock
from tidewire.accounts.model import Role
from tidewire.client import (
    Client,
    ClientEnded,
    ClientError,
    Link,
    Message,
    OutcomeUnknown,
    Presence,
    Refused,
    Reset,
    Room,
    Since,
    Unsent,
)
from tidewire.core.protocol import BATCH, PLAIN, data_body
from tidewire.hub.room import RoomRules

CEILING_S = 45.0
LOBBY = "app:lobby"


async def take(room: Room, count: int) -> list[Any]:
    """Return the next events of a room."""
    async with asyncio.timeout(CEILING_S):
        return [await anext(room) for _ in range(count)]


@pytest.mark.parametrize("subprotocols", [(PLAIN,), (BATCH,), ()], ids=["plain", "batch", "none"])
async def test_rooms_requests_and_presence(subprotocols: tuple[str, ...]) -> None:
    """Enter, publish, see oneself, be refused, leave: in every subprotocol."""
    async with hub_and_proxy() as (_, _, url), make_client(url, subprotocols=subprotocols) as client:
        async with client.subscribe(LOBBY, presence=True) as room:
            await room.entered()
            published = await client.publish(LOBBY, {"text": "hello"})
            present, message = await take(room, 2)
            assert isinstance(present, Presence)
            assert room.count == 1
            assert isinstance(message, Message)
            assert (message.data, message.place) == ({"text": "hello"}, Since(published.epoch or "", 1))
            assert published.reached == 1
            with pytest.raises(Refused) as refused:
                await client.publish("market:AAPL", 1)
            assert refused.value.code == "permission_denied"
        with pytest.raises(StopAsyncIteration):
            await take(room, 1)
        with pytest.raises(ClientError):
            await client.subscribe("market:NO SUCH").entered()


async def test_exactly_what_was_missed() -> None:
    """After a cut a room continues where it was, without a word to the consumer; other rooms share the socket."""
    async with hub_and_proxy() as (server, proxy, url), make_client(url) as client:
        rooms = [client.subscribe(f"app:r{number}") for number in range(20)]
        await asyncio.gather(*(room.entered() for room in rooms))
        proxy.reset()
        for room in rooms:
            for number in range(3):
                server.hub.publish(room.room_id, data_body(b"%d" % number))
        for room in rooms:
            assert [event.data for event in await take(room, 3)] == [0, 1, 2]
        assert proxy.accepted == 2
        assert client.statistics()["entered"] == 20


async def test_a_loss_is_told() -> None:
    """A history that is too short for the absence is told by a Reset with what is known about the loss."""
    rules = {"app": RoomRules(history_messages=2)}
    async with hub_and_proxy(rules=rules) as (server, proxy, url), make_client(url) as client:
        room = client.subscribe(LOBBY)
        await room.entered()
        proxy.set("refuse")
        proxy.reset()
        for number in range(5):
            server.hub.publish(LOBBY, data_body(b"%d" % number))
        proxy.set("pass")
        (reset,) = await take(room, 1)
        assert isinstance(reset, Reset)
        assert (reset.reason, reset.missed_at_least, reset.offset) == ("history_trimmed", 3, 5)
        server.hub.publish(LOBBY, data_body(b"6"))
        assert [event.offset for event in await take(room, 1)] == [6]


async def test_since_of_another_life() -> None:
    """A program that kept its place continues there; a place that never was is told by a Reset."""
    async with hub_and_proxy() as (server, _, url):
        async with make_client(url) as client:
            room = client.subscribe(LOBBY)
            await room.entered()
            server.hub.publish(LOBBY, data_body(b"1"))
            server.hub.publish(LOBBY, data_body(b"2"))
            first, _ = await take(room, 2)
        async with make_client(url) as client:
            assert [event.data for event in await take(client.subscribe(LOBBY, since=first.place), 1)] == [2]
        async with make_client(url) as client:
            (reset,) = await take(client.subscribe(LOBBY, since=Since(first.epoch, 99)), 1)
            assert reset.reason == "offset_ahead"


async def test_requests_wait_fail_or_are_in_doubt() -> None:
    """Offline requests wait in a bounded queue; one that was sent into a dead line is in doubt, never repeated."""
    async with hub_and_proxy() as (server, proxy, url):
        proxy.set("refuse")
        async with make_client(url, max_queue=2) as client:
            waiting = [asyncio.create_task(client.publish(LOBBY, number)) for number in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Unsent) as full:
                await client.publish(LOBBY, "one too many")
            assert full.value.code == "queue_full"
            proxy.set("pass")
            async with asyncio.timeout(CEILING_S):
                assert [(await task).offset for task in waiting] == [1, 2]
            proxy.set("blackhole")
            doubtful = asyncio.create_task(client.publish(LOBBY, "who knows"))
            await asyncio.sleep(0)
            assert client.statistics()["in_flight"] == 1
            proxy.reset()
            with pytest.raises(OutcomeUnknown):
                await doubtful
            pending = asyncio.create_task(client.publish(LOBBY, "never"))
            await asyncio.sleep(0)
        with pytest.raises(ClientEnded):
            await pending
        assert server.hub.history(LOBBY, 10)[-1].count(b"who knows") <= 1


async def test_what_has_a_name_of_its_own_is_sent_again() -> None:
    """With an ``op_id`` both clients get their answer though the line dies before it, and it is published once."""
    async with hub_and_proxy() as (server, proxy, url), make_client(url) as client:
        async with node_client(url, token="admin-2") as node, asyncio.timeout(CEILING_S):
            await node.link("connected")
            await client.connected()
            # The server has taken them, and the answers die in the middle.
            proxy.cut_after = 1
            assert (await client.publish(LOBBY, "py", op_id="a")).offset == 1
            proxy.cut_after = 1
            assert await _node_publishes(node, "a") == 2
            # The server never hears of it.
            proxy.set("blackhole")
            unheard = asyncio.create_task(client.publish(LOBBY, "unheard", op_id="b"))
            await asyncio.sleep(0)
            proxy.reset()
            proxy.set("pass")
            assert (await unheard).offset == 3
        assert [b'"py"' in message for message in server.hub.history(LOBBY, 10)] == [True, False, False]


async def _node_publishes(node: NodeClient, op_id: str) -> int:
    node.tell("publish", op=1, room=LOBBY, data="node", opId=op_id)
    offset: int = (await node.heard(lambda line: line.get("op") == 1))["published"]["offset"]
    return offset


async def test_a_slow_consumer_holds_up_nobody() -> None:
    """A room whose consumer sleeps is left and entered again where it was; the other room flows, nothing is lost."""
    async with hub_and_proxy() as (server, _, url), make_client(url, max_inbox=8) as client:
        slow, quick = client.subscribe("app:slow"), client.subscribe("app:quick")
        await slow.entered()
        await quick.entered()
        for number in range(100):
            server.hub.publish("app:slow", data_body(b"%d" % number))
            server.hub.publish("app:quick", data_body(b"%d" % number))
            assert [event.data for event in await take(quick, 1)] == [number]
        assert client.statistics()["rooms_paused"] >= 1
        assert [event.data for event in await take(slow, 100)] == list(range(100))


async def test_revocation_and_logout() -> None:
    """A room that is taken away ends with the reason; a login that ends, ends the client."""
    async with hub_and_proxy() as (server, _, url), make_client(url, "user-7") as client:
        market, lobby = client.subscribe("market:AAPL"), client.subscribe(LOBBY)
        await market.entered()
        await lobby.entered()
        server.hub.standing.change_user(7, Role.USER, frozenset())
        with pytest.raises(Refused) as revoked:
            await take(market, 1)
        assert revoked.value.code == "permission_revoked"
        server.hub.standing.end_login("s-7")
        with pytest.raises(ClientEnded) as ended:
            await take(lobby, 1)
        assert ended.value.code == "logged_out"
        assert ended.value.required_action == "Log in again."
        with pytest.raises(ClientEnded):
            client.subscribe("app:other")


async def test_tokens_are_fetched_and_renewed() -> None:
    """Each connection begins with a token of its own, and the server's warning brings the next one in place."""
    doorman = Doorman()
    tokens = 0
    renewed_twice = asyncio.Event()

    async def fetch() -> str:
        nonlocal tokens
        tokens += 1
        if tokens == 4:
            renewed_twice.set()
        if tokens == 1:
            raise OSError("the token service is away")
        loop_time = asyncio.get_running_loop().time
        doorman.known[f"t-{tokens}-{loop_time()}"] = principal(5, Role.ADMIN, expires_at=QuickClock().time() + 1.0)
        return next(reversed(doorman.known))

    async with hub_and_proxy(doorman=doorman, options=fast_options()) as (server, _, url):
        client = Client(url, fetch_token=fetch, clock=QuickClock(4.0))
        async with client:
            async with asyncio.timeout(CEILING_S):
                link = await client.connected()
                assert link.user is not None
                assert link.user.user_id == 5
                await renewed_twice.wait()
            await client.publish(LOBBY, 1)
            assert client.statistics()["token_failures"] == 1
            assert client.statistics()["dialed"] == 1
            assert {credential.kind for credential in doorman.asked} == {"message"}
            assert server.hub.connection_count() == 1


async def test_drain_moves_the_client() -> None:
    """A node that stops tells its clients; they come back when somebody listens again."""
    links: list[Link] = []
    refused = asyncio.Event()

    def note(link: Link) -> None:
        links.append(link)
        if link.code == 503:
            refused.set()

    async with hub_and_proxy() as (server, _, url), make_client(url, on_link=note) as client:
        await client.connected()
        await server.hub.drain(0.2)
        async with asyncio.timeout(CEILING_S):
            await refused.wait()
    waits = [(link.code, link.reason) for link in links if link.state == "waiting"]
    assert waits[:2] == [(4000, "drain"), (503, "handshake_refused")]


async def test_cookie_needs_its_origin() -> None:
    """A cookie is sent with the Origin of the server; a foreign one is refused for good."""
    async with hub_and_proxy() as (_, _, url):
        async with Client(url, cookie="tidewire_session=user-3", origin="https://desk.example") as client:
            assert (await client.connected()).user is not None
        async with Client(url, cookie="tidewire_session=user-3") as client:
            with pytest.raises(ClientEnded) as refused:
                await client.connected()
            assert refused.value.code == "handshake_refused"


async def test_no_task_is_left() -> None:
    """Closing in any state ends every task of the client, and twice is once."""
    before = asyncio.all_tasks()
    async with hub_and_proxy() as (_, proxy, url):
        serving = asyncio.all_tasks()
        for mode in ("pass", "blackhole", "refuse"):
            proxy.set(mode)
            client = make_client(url)
            client.start()
            await asyncio.sleep(0)
            async with asyncio.timeout(CEILING_S):
                if mode == "pass":
                    await client.connected()
                await client.close()
                await client.close()
            assert not [task for task in asyncio.all_tasks() - serving if task.get_name().startswith("client-")]
        proxy.set("pass")
    assert asyncio.all_tasks() <= before


# ---- the TypeScript client -------------------------------------------------------------------------------------------


async def test_node_client_does_the_same() -> None:
    """The TypeScript client enters, publishes, resumes after a cut, and is told of a login's end."""
    async with hub_and_proxy() as (server, proxy, url), node_client(url, token="admin-1") as client:
        await client.link("connected")
        client.tell("subscribe", room=LOBBY, presence=True)
        client.tell("publish", op=1, room=LOBBY, data={"text": "hello"})
        answer = await client.heard(lambda line: line.get("op") == 1)
        assert (answer["ok"], answer["published"]["offset"]) == (True, 1)
        client.tell("publish", op=2, room="market:AAPL", data=1)
        refused = await client.heard(lambda line: line.get("op") == 2)
        assert (refused["kind"], refused["code"]) == ("refused", "permission_denied")
        mark = len(client.log)
        proxy.reset()
        server.hub.publish(LOBBY, data_body(b'"missed"'))
        await client.link("connected", since=mark)
        await client.heard(lambda line: data_of(line) == "missed")
        client.tell("members", room=LOBBY)
        assert (await client.heard(lambda line: "members" in line))["count"] == 1
        server.hub.standing.end_login("s-1")
        assert (await client.link("ended"))["reason"] == "logged_out"
        assert (await client.heard(lambda line: line.get("ended") == LOBBY))["code"] == "logged_out"
