"""Drives rooms over several nodes with publishers and followers while faults happen, and logs it for the checker.

Everything follows from the seed, apart from the scheduling of the machine. Followers are as simple as a client may be:
they keep the last place and resume from it, on any node. Publishers send again with the same ``op_id`` until they know.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from tests.support.history_checker import Entered, Event, Gapped, Left, Message, Published, Violation, check
from tests.support.nodes import Node, NodeClient

Fault = Callable[[], Awaitable[None]]


class NodeFollower:
    """A client that follows one room over any number of connections and nodes."""

    def __init__(self, run: NodeRun, number: int) -> None:
        self._run = run
        self._user = f"user-{number + 100}"
        self._chance = random.Random(f"{run.seed}/{number}")
        self._place: dict[str, Any] | None = None
        self._client: NodeClient | None = None
        self.log: list[Event] = []
        self.changed = asyncio.Event()
        self.entered = asyncio.Event()

    async def follow(self) -> None:
        """Come, read, be cut, come back, until cancelled."""
        while True:
            node = self._chance.choice(self._run.nodes)
            self._client = await self._connect(node)
            if self._client is None or not await self._read(self._client):
                self.log.append(Left())
                # The broker is away; what a client does then is wait, and nothing tells it when to stop.
                await asyncio.sleep(0.02)

    def cut(self) -> None:
        """Lose the connection in the middle of whatever is going on."""
        client = self._client
        if client is not None and client.socket.closed is None:
            client.lose()
            client.socket.close(1006, "cut")

    def told(self) -> list[tuple[str, int]]:
        """The places at which it was let in without what it had missed, in their order."""
        return [(event.epoch, event.offset) for event in self.log if isinstance(event, Entered) and not event.recovered]

    def owed(self, published: Sequence[Published]) -> set[str | None]:
        """The epochs of which it did not get something that was acknowledged and comes after what it was told."""
        seen = {(event.epoch, event.offset) for event in self.log if isinstance(event, Message)}
        since: dict[str | None, int] = dict(self.told())
        missing = [entry for entry in published if (entry.epoch, entry.offset) not in seen]
        return {entry.epoch for entry in missing if (entry.offset or 0) > since.get(entry.epoch, 0)}

    def at(self, epoch: str, offset: int) -> bool:
        """Whether it has everything up to there."""
        return self._place == {"epoch": epoch, "offset": offset}

    async def _connect(self, node: Node) -> NodeClient | None:
        client = node.connect(self._user)
        while client.socket.closed is None:
            if client.session.lifecycle.open:
                return client
            client.socket.written.clear()
            await client.socket.written.wait()
        return None

    async def _read(self, client: NodeClient) -> bool:
        self._enter(client)
        while True:
            for message in client.socket.read():
                self._take(client, message)
            if client.socket.closed is not None:
                return False
            client.socket.written.clear()
            await client.socket.written.wait()

    def _enter(self, client: NodeClient) -> None:
        since = {"since": self._place} if self._place else {}
        client.send("subscribe", room_id=self._run.room, **since)

    def _take(self, client: NodeClient, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "reply" and not message["ok"]:
            # Refused because the broker is away: asked again, as the error says.
            asyncio.get_running_loop().call_later(0.05, self._again, client)
        if message.get("room_id") != self._run.room:
            return
        if kind == "subscribed":
            self.log.append(Entered(message["epoch"], message["offset"], message["recovered"], message["replayed"]))
            self.entered.set()
            if not message["recovered"]:
                self._place = {"epoch": message["epoch"], "offset": message["offset"]}
        elif kind == "gap":
            self.log.append(Gapped(message["epoch"], message["from_offset"], message["to_offset"]))
            self._enter(client)
        elif kind == "room_message":
            self.log.append(Message(message["epoch"], message["offset"], message["data"]))
            self._place = {"epoch": message["epoch"], "offset": message["offset"]}
        self.changed.set()

    def _again(self, client: NodeClient) -> None:
        if client.socket.closed is None:
            self._enter(client)


class NodeRun:
    """One run.

    Args:
        nodes: Started nodes; faults may break their connections, not end them.
        room: Nobody else's.
    """

    def __init__(self, nodes: list[Node], room: str, seed: int, *, followers: int = 6) -> None:
        self.nodes = nodes
        self.room = room
        self.seed = seed
        self.published: list[Published] = []
        self.unsure: list[Published] = []
        self.asked_again = 0
        self.followers = [NodeFollower(self, number) for number in range(followers)]
        self._chance = random.Random(seed)
        self._answered = asyncio.Event()

    async def play(
        self, faults: list[Fault], *, publishers: int = 4, publishes: int = 100, ceiling_s: float = 50.0
    ) -> None:
        """Publish, break and cut until all is published and every fault has happened; then let everybody catch up.

        Nothing is published before every follower is in the room: who comes late on a busy machine has missed nothing.
        """
        async with asyncio.timeout(ceiling_s):
            tasks = [asyncio.create_task(follower.follow()) for follower in self.followers]
            try:
                for follower in self.followers:
                    await follower.entered.wait()
                async with asyncio.TaskGroup() as group:
                    for number in range(publishers):
                        group.create_task(self._publish(number, publishes))
                    group.create_task(self._break(faults, publishers * publishes))
                await self._converge()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def violations(self) -> list[Violation]:
        """What the checker says."""
        return check(
            [*self.published, *self.unsure], {f"follower {n}": each.log for n, each in enumerate(self.followers)}
        )

    def missed(self) -> set[str | None]:
        """The epochs of which somebody is owed something that was acknowledged."""
        return {epoch for follower in self.followers for epoch in follower.owed(self.published)}

    def count(self, kind: type[Event], **members: Any) -> int:
        """How often something was seen by anybody."""
        events = [event for follower in self.followers for event in follower.log if isinstance(event, kind)]
        return sum(all(getattr(event, name) == value for name, value in members.items()) for event in events)

    async def _publish(self, number: int, publishes: int) -> None:
        for n in range(publishes):
            name = f"p{number}-{n}"
            tried_in: set[str | None] = set()
            while True:
                client = await self._writer(number)
                if client is not None:
                    reply = await self._ask(client, name)
                    if reply is not None:
                        break
                self.asked_again += 1
                tried_in.add(self.published[-1].epoch if self.published else None)
                await asyncio.sleep(0.02)
            self.published.append(Published(name, "ok", reply["epoch"], reply["offset"]))
            if tried_in - {reply["epoch"]}:
                # An attempt without an answer may have a place in an epoch that was lost before it was asked again.
                self.unsure.append(Published(f"{name} before", "unknown", None, None))
            self._answered.set()

    async def _writer(self, number: int) -> NodeClient | None:
        node = self._chance.choice(self.nodes)
        client = node.connect(f"admin-{number + 1}")
        while client.socket.closed is None and not client.session.lifecycle.open:
            client.socket.written.clear()
            await client.socket.written.wait()
        return client if client.socket.closed is None else None

    async def _ask(self, client: NodeClient, name: str) -> dict[str, Any] | None:
        reply = await client.ask("publish", room_id=self.room, data=name, op_id=name)
        client.lose()
        if reply["ok"]:
            data: dict[str, Any] = reply["data"]
            return data
        assert reply["error"]["temporary"], reply
        return None

    async def _break(self, faults: list[Fault], total: int) -> None:
        """One fault after each equal part of the publishes, and a follower cut with each."""
        for number, fault in enumerate(faults, 1):
            while len(self.published) < total * number // (len(faults) + 1):
                self._answered.clear()
                await self._answered.wait()
            self._chance.choice(self.followers).cut()
            await fault()

    async def _converge(self) -> None:
        newest = self.published[-1]
        for entry in self.published:
            if entry.epoch == newest.epoch and (entry.offset or 0) > (newest.offset or 0):
                newest = entry
        assert newest.epoch is not None
        assert newest.offset is not None
        for follower in self.followers:
            while not follower.at(newest.epoch, newest.offset):
                follower.changed.clear()
                await follower.changed.wait()
