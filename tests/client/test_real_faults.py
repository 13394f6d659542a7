"""Publishers and consumers of both clients under faults, judged by the history checker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.support import history_checker as told
from tests.support.fault_proxy import FaultProxy
from tests.support.history_checker import check
from tests.support.node_client import NodeClient, data_of, node_client
from tests.support.proxied_hub import hub_and_proxy, make_client
from tidewire.client import Client, ClientError, Message, OutcomeUnknown, Reset, Room, RoomEvent, Since
from tidewire.core.protocol import BATCH, PLAIN, data_body
from tidewire.hub.census import ConnectionQuery
from tidewire.hub.room import RoomRules

LOBBY = "app:lobby"


async def test_a_gap_is_healed() -> None:
    """A line that stalls until the hub gives messages up brings every message all the same, once and in order."""
    rules = {"app": RoomRules(history_messages=5_000, history_bytes=64 << 20)}
    body = data_body(b'"%b"' % (b"x" * 16_000))
    async with hub_and_proxy(rules=rules) as (server, proxy, url), make_client(url) as client:
        room = client.subscribe(LOBBY)
        await room.entered()
        proxy.set("blackhole")
        count = 0
        # Until the kernel takes no more for the reader that stopped, and the hub gives up.
        while count < 4_000 and not server.hub.list_connections(ConnectionQuery()).rows[0].given_up:
            server.hub.publish(LOBBY, body)
            count += 1
            await asyncio.sleep(0)
        for _ in range(10):
            server.hub.publish(LOBBY, body)
        count += 10
        proxy.set("pass")
        async with asyncio.timeout(40):
            places = [event.offset async for event in _first(room, count) if isinstance(event, Message)]
        assert places == list(range(1, count + 1))
        assert client.statistics()["gaps"] >= 1
        assert client.statistics()["dialed"] == 1


async def _first(room: Room, count: int) -> AsyncIterator[RoomEvent]:
    for _ in range(count):
        yield await anext(room)


@dataclass
class Follower:
    """What a consumer saw, in the words of the history checker."""

    log: list[told.Event] = field(default_factory=list)
    resets: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, room: Room) -> None:
        """Follow a room with the Python client."""
        async for event in room:
            if isinstance(event, Reset):
                self.reset(event.epoch, event.offset)
            elif isinstance(event, Message):
                assert event.epoch is not None
                assert event.offset is not None
                self.log.append(told.Message(event.epoch, event.offset, str(event.data)))
                if event.data == "last":
                    self.done.set()

    def reset(self, epoch: str, offset: int) -> None:
        """Begin anew."""
        self.resets += 1
        self.log.append(told.Entered(epoch, offset, recovered=False, replayed=0))

    def read(self, client: NodeClient, start: Since) -> None:
        """Take over what the TypeScript client saw."""
        self.log.append(told.Entered(start.epoch, start.offset, recovered=False, replayed=0))
        for event in client.events(LOBBY):
            if event["event"] == "reset":
                self.reset(event["epoch"], event["offset"])
            elif event["event"] == "message":
                self.log.append(told.Message(event["epoch"], event["offset"], str(event["fields"]["data"])))


async def _publish(client: Client, count: int) -> list[told.Published]:
    done: list[told.Published] = []
    for number in range(count):
        try:
            answer = await client.publish(LOBBY, f"m-{number}")
        except OutcomeUnknown:
            done.append(told.Published(f"m-{number}", "unknown"))
        except ClientError:
            done.append(told.Published(f"m-{number}", "fail"))
        else:
            done.append(told.Published(f"m-{number}", "ok", answer.epoch, answer.offset))
    return done


async def _misbehave(proxy: FaultProxy, rounds: int) -> None:
    for turn in range(rounds):
        await proxy.wait_accepted(proxy.accepted)
        await asyncio.sleep(0.1)
        if turn % 3 == 0:
            proxy.reset()
        elif turn % 3 == 1:
            proxy.cut_after = 700
        else:
            proxy.set("blackhole")
            await asyncio.sleep(0.05)
            proxy.set("pass")
            proxy.reset()


async def test_history_under_faults() -> None:
    """Publishers and consumers of both clients are cut, stalled and reset: nothing is lost, doubled or reordered."""
    async with hub_and_proxy() as (server, proxy, url):
        consumers = {name: make_client(url, subprotocols=(name,)) for name in (PLAIN, BATCH)}
        publisher = make_client(url, "admin-2")
        followers = {name: Follower() for name in (PLAIN, BATCH, "node")}
        async with consumers[PLAIN], consumers[BATCH], publisher, node_client(url, token="admin-3") as node:
            following = []
            node.tell("subscribe", room=LOBBY)
            await node.heard(lambda line: line.get("entered") == LOBBY)
            for name, client in consumers.items():
                room = client.subscribe(LOBBY)
                await room.entered()
                assert room.position is not None
                start = room.position
                followers[name].log.append(told.Entered(start.epoch, start.offset, recovered=False, replayed=0))
                following.append(asyncio.create_task(followers[name].follow(room)))
            async with asyncio.timeout(40):
                trouble = asyncio.create_task(_misbehave(proxy, 12))
                published = await _publish(publisher, 150)
                await trouble
                proxy.set("pass")
                # Past the proxy: what is in doubt cannot be waited for.
                async with make_client(server.url, "admin-4") as direct:
                    last = await direct.publish(LOBBY, "last")
                published.append(told.Published("last", "ok", last.epoch, last.offset))
                await node.heard(lambda line: data_of(line) == "last")
                await asyncio.gather(*(followers[name].done.wait() for name in consumers))
            for client in consumers.values():
                await client.close()
            await asyncio.gather(*following)
            followers["node"].read(node, start)
        assert check(published, {name: follower.log for name, follower in followers.items()}) == []
        assert sum(entry.outcome == "ok" for entry in published) > 50
        # The room remembers far more than anybody missed, so nobody may have been told of a loss.
        assert [follower.resets for follower in followers.values()] == [0, 0, 0]
        assert server.hub.statistics().opened > 20
