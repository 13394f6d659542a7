"""Publishers and followers of both clients on a service of several workers, while an operator restarts it.

Everybody uses the clients as a program would: a publish that raises is an error that a program would have had to handle
and is written down. Publishes follow the clock, not the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.support.command import Service
from tests.support.history_checker import Entered, Event, Message, Published, Violation, check
from tests.support.node_client import node_client
from tests.support.population import SOCKETS_EACH, Population
from tidewire import client as tw

CEILING_S = 60.0
# A client may send 45 messages a second; 20 leave room to catch up after a second without a connection.
PER_PUBLISHER_PER_S = 20.0


@dataclass(frozen=True)
class Arrival:
    """A message as one follower got it; times are monotonic seconds."""

    sent: float
    took: float


@dataclass
class Follower:
    """What one client saw of all rooms.

    Attributes:
        kind: ``python`` or ``node``.
        links: (close code, reason) of each connection that ended.
        troubles: What a program would have had to handle: rooms that ended, histories that were lost.
    """

    name: str
    kind: str
    logs: dict[str, list[Event]]
    arrivals: list[Arrival] = field(default_factory=list)
    links: list[tuple[int | None, str | None]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def enter(self, room: str, place: Mapping[str, Any]) -> None:
        """The first entry."""
        self.logs[room].append(Entered(place["epoch"], place["offset"], recovered=False, replayed=0))

    def take(self, room: str, event: Mapping[str, Any], at: float) -> None:
        """One event of a room, in the words of the TypeScript client."""
        if event["event"] == "reset":
            self.troubles.append(f"reset of {room}: {event['reason']}")
            self.enter(room, event)
        elif event["event"] == "message":
            data = event["data"]
            self.logs[room].append(Message(event["epoch"], event["offset"], data["name"]))
            self.arrivals.append(Arrival(data["sent"], at - data["sent"]))
            self.offsets[room] = event["offset"]

    def link(self, state: str, code: int | None, reason: str | None) -> None:
        """The connection's state has changed."""
        if state in ("waiting", "ended") and reason != "client_closed":
            self.links.append((code, reason))


class RollingRun:
    """One run; see ``rolling_run``.

    Attributes:
        troubles: What publishers would have had to handle, in words.
        asked_again: Publishes that were repeated because the broker had not answered in time.
    """

    def __init__(self, rooms: Sequence[str]) -> None:
        self.rooms = rooms
        self.followers: list[Follower] = []
        self.published: dict[str, list[Published]] = {room: [] for room in rooms}
        self.troubles: list[str] = []
        self.asked_again = 0
        self.links: list[tuple[int | None, str | None]] = []
        self.publishers: list[tw.Client] = []
        self.stopping = asyncio.Event()
        self.arrived = asyncio.Event()

    # ---- followers

    def new_follower(self, kind: str) -> Follower:
        """Return a follower with empty logs."""
        made = Follower(f"{kind}-{len(self.followers)}", kind, {room: [] for room in self.rooms})
        self.followers.append(made)
        return made

    async def follow(self, follower: Follower, room: tw.Room) -> None:
        """Read a room with the Python client until it is left."""
        try:
            async for event in room:
                now = time.monotonic()
                if isinstance(event, tw.Message):
                    plain = {"event": "message", "epoch": event.epoch, "offset": event.offset, "data": event.data}
                    follower.take(room.room_id, plain, now)
                elif isinstance(event, tw.Reset):
                    plain = {"event": "reset", "epoch": event.epoch, "offset": event.offset, "reason": event.reason}
                    follower.take(room.room_id, plain, now)
                self.arrived.set()
        except tw.ClientError as error:
            follower.troubles.append(f"{room.room_id} ended: {error.code}")

    def read(self, follower: Follower, line: Mapping[str, Any]) -> None:
        """Take what a TypeScript client says."""
        if "event" in line:
            event = line["event"]
            follower.take(line["room"], {**event, "data": event.get("fields", {}).get("data")}, line["at"])
            self.arrived.set()
        elif "link" in line:
            link = line["link"]
            follower.link(link["state"], link.get("code"), link.get("reason"))
        elif "ended" in line and line["code"] is not None:
            follower.troubles.append(f"{line['ended']} ended: {line['code']}")

    # ---- publishers

    def link(self, state: str, code: int | None, reason: str | None) -> None:
        """A publisher's connection has changed."""
        if state in ("waiting", "ended") and reason != "client_closed":
            self.links.append((code, reason))

    async def publish(self, per_s: float) -> None:
        """Publish to all rooms in turn at an even rate, until told to stop; return when all is answered."""
        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not self.stopping.is_set():
                writer, room = self.publishers[number % len(self.publishers)], self.rooms[number % len(self.rooms)]
                group.create_task(self._send(writer, room, f"m-{number}"))
                number += 1
                await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))

    async def _send(self, writer: tw.Client, room: str, name: str) -> None:
        data: tw.Json = {"name": name, "sent": time.monotonic()}
        while True:
            try:
                done = await writer.publish(room, data, op_id=name)
            except tw.ClientError as error:
                # A broker that does not answer within a second is a crowded machine's doing, not the restart's.
                if error.code == "broker_unavailable":
                    self.asked_again += 1
                    continue
                self.troubles.append(f"publish {name}: {error.code}")
                self.published[room].append(Published(name, "unknown"))
            else:
                self.published[room].append(Published(name, "ok", done.epoch, done.offset))
            return

    # ---- the end

    async def settle(self) -> None:
        """Return once everybody has come as far as what was acknowledged; who has not is told by the checker."""
        last = {room: max((one.offset or 0 for one in sent), default=0) for room, sent in self.published.items()}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CEILING_S):
                while any(each.offsets[room] < last[room] for each in self.followers for room in self.rooms):
                    self.arrived.clear()
                    await self.arrived.wait()

    def violations(self) -> list[Violation]:
        """What the history checker says, room by room."""
        found: list[Violation] = []
        for room in self.rooms:
            found += check(self.published[room], {each.name: each.logs[room] for each in self.followers})
        return found

    def all_troubles(self) -> list[str]:
        """What any program would have had to handle."""
        return self.troubles + [f"{each.name}: {what}" for each in self.followers for what in each.troubles]

    def endings(self) -> Counter[tuple[int | None, str | None]]:
        """How connections ended, with how often."""
        return Counter([*self.links, *(link for each in self.followers for link in each.links)])

    def acknowledged(self) -> int:
        """How many publishes were answered with a place."""
        return sum(one.outcome == "ok" for sent in self.published.values() for one in sent)

    def latencies(self, kind: str, begin: float, end: float) -> list[float]:
        """Return the seconds from the program's publish to the follower's program, of what was sent in that time."""
        arrivals = (one for each in self.followers if each.kind == kind for one in each.arrivals)
        return [one.took for one in arrivals if begin <= one.sent < end]


@asynccontextmanager
async def rolling_run(
    port: int, people: Population, *, rooms: int, python: int, node: int, per_s: float
) -> AsyncIterator[RollingRun]:
    """Connect everybody and publish until the block ends; afterwards everybody has had the time to get everything.

    Args:
        python, node: How many followers use each client; each is in every room.
        per_s: Messages a second in all.
    """
    run = RollingRun([f"app:room-{n}" for n in range(rooms)])
    url, origin = f"ws://127.0.0.1:{port}/ws", f"http://127.0.0.1:{port}"
    cookies = iter([f"tidewire_session={cookie}" for cookie in people.cookies for _ in range(SOCKETS_EACH)])
    async with AsyncExitStack() as stack:
        following: list[asyncio.Task[None]] = []
        for _ in range(python):
            follower = run.new_follower("python")
            client = tw.Client(url, cookie=next(cookies), on_link=partial(_tell, follower.link))
            await stack.enter_async_context(client)
            for room_id in run.rooms:
                room = client.subscribe(room_id)
                await room.entered()
                assert room.position is not None
                follower.enter(room_id, {"epoch": room.position.epoch, "offset": room.position.offset})
                following.append(asyncio.create_task(run.follow(follower, room)))
        for _ in range(node):
            follower = run.new_follower("node")
            made = await stack.enter_async_context(node_client(url, cookie=next(cookies), origin=origin, speed=1))
            made.on_line = partial(run.read, follower)
            for room_id in run.rooms:
                made.tell("subscribe", room=room_id)
            for room_id in run.rooms:
                said = await made.heard(partial(_entered, room_id))
                follower.enter(room_id, said["position"])
        for _ in range(max(rooms, round(per_s / PER_PUBLISHER_PER_S))):
            # A publisher that goes by the clock must be able to wait: on a crowded machine a restart takes seconds.
            writer = tw.Client(url, cookie=next(cookies), on_link=partial(_tell, run.link), max_queue=1_000)
            run.publishers.append(await stack.enter_async_context(writer))
            await writer.connected()
        publishing = asyncio.create_task(run.publish(per_s))
        try:
            yield run
            run.stopping.set()
            async with asyncio.timeout(CEILING_S):
                await publishing
            await run.settle()
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
    await asyncio.gather(*following)


async def restart(service: Service, processes: int) -> None:
    """Restart a service of so many processes one after the other; return when that is done."""
    service.process.send_signal(signal.SIGHUP)
    # In steps, because each wait has a ceiling of its own, and a crowded machine needs longer for all of them.
    for ready in range(processes + 1, 2 * processes + 1):
        await asyncio.to_thread(service.told, _Ready(ready))
    await asyncio.to_thread(service.logged, "rolling_restart_done")


class _Ready:
    """Whether so many processes have been ready since the start, when asked about each log line in turn."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._seen: set[int] = set()

    def __call__(self, line: Mapping[str, Any]) -> bool:
        if line.get("event") == "worker_ready":
            self._seen.add(line["pid"])
        return len(self._seen) >= self._times


def _tell(link: Callable[[str, int | None, str | None], None], new: tw.Link) -> None:
    link(new.state, new.code, new.reason)


def _entered(room_id: str, line: Mapping[str, Any]) -> bool:
    return line.get("entered") == room_id
