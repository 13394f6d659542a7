"""Rooms of two hubs in one process on an in-process bus and log, where every order of things can be made to happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.hub.conftest import Client, Stage, turns
from tests.support.clock import HandClock
from tests.support.hub_server import RULES
from tests.support.nodes import watched_client
from tidewire.bus.base import Receive
from tidewire.bus.memory import MemoryBus
from tidewire.bus.memory_log import MemoryRoomLog
from tidewire.bus.room_log import Bounds, Place, Reading, announce, channel_of
from tidewire.core.errors import BusError
from tidewire.hub.hub import Hub
from tidewire.hub.links import Links
from tidewire.hub.posted import pack, posted
from tidewire.hub.shared_rooms import COMPARE_EVERY_S, LINGER_S
from tidewire.hub.switchboard import HubOptions

ROOM = "app:x"
WIDE = Bounds(1_000, 300.0, 1_000_000)


class LossyBus(MemoryBus):
    """A bus that can stop delivering without a word, and knows who listens."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__(clock)
        self.deaf = False
        self.listened: list[str] = []

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Publish, unless deaf."""
        if not self.deaf:
            super().publish(channel, payloads)

    def subscribe(self, channel: str, receive: Receive) -> Any:
        """Note it."""
        self.listened.append(channel)
        return super().subscribe(channel, receive)


class ScriptedLog(MemoryRoomLog):
    """A log that lets something happen after it has read and before the answer arrives, or does not answer."""

    after_read: Callable[[], Any] | None = None
    down: BusError | None = None
    reads = 0

    async def read(self, room_id: str, *, bounds: Bounds, since: Place | None = None) -> Reading:
        """Read, then let it happen."""
        self.reads += 1
        if self.down is not None:
            raise self.down
        reading = await super().read(room_id, bounds=bounds, since=since)
        if room_id == ROOM and self.after_read is not None:
            happen, self.after_read = self.after_read, None
            await happen()
        return reading


class TwoNodes:
    """Two hubs, one clock."""

    def __init__(self) -> None:
        self.stages = [Stage(), Stage()]
        self.clock = HandClock()
        self.bus = LossyBus(self.clock)
        self.log = ScriptedLog(self.bus, self.clock)
        for stage in self.stages:
            stage.clock = self.clock
            stage.hub = Hub(
                clock=self.clock,
                scheduler=asyncio.get_running_loop(),
                authenticate=stage.doorman,
                rules=RULES,
                options=HubOptions(messages_per_second=1e6, burst=1e6),
                links=Links(self.bus, self.log),
            )

    async def post(self, data: str, which: int = 0) -> None:
        """Publish from one of them."""
        await self.stages[which].hub.post(ROOM, b'{"data":"%b"}' % data.encode())

    async def enter(self, which: int, **more: Any) -> Client:
        """A client that is inside."""
        client = await self.stages[which].client("user-1")
        client.send("subscribe", room_id=ROOM, id=1, **more)
        await turns(20)
        return client


@pytest.fixture
async def two() -> Any:
    """Both started."""
    made = TwoNodes()
    await made.bus.start()
    for stage in made.stages:
        await stage.hub.start()
    yield made
    for stage in made.stages:
        await stage.hub.stop()


def texts(client: Client) -> list[Any]:
    """What came of the room since the last look."""
    return [message["data"] for message in client.read("room_message")]


async def test_what_happens_between_listening_and_reading_is_not_lost(two: TwoNodes) -> None:
    """Published after the log was read and before its answer came: there, once."""
    await two.post("before")
    place = (await two.log.read(ROOM, bounds=WIDE)).newest
    two.log.after_read = lambda: two.post("in between")
    client = await two.enter(1, since={"epoch": place.epoch, "offset": place.offset})
    await two.post("after")
    await turns(10)
    assert texts(client) == ["in between", "after"]


async def test_a_message_lost_without_a_trace_is_found(two: TwoNodes) -> None:
    """Nothing comes after it, no connection breaks: the next comparison finds it."""
    client = await two.enter(1)
    two.bus.deaf = True
    await two.post("lost")
    two.bus.deaf = False
    await turns(10)
    assert texts(client) == []
    await two.clock.advance(COMPARE_EVERY_S + 1)
    assert texts(client) == ["lost"]
    statistics = two.stages[1].hub.statistics()
    assert statistics.shared["healed"] == 1


async def test_a_newer_message_never_overtakes_a_missing_one(two: TwoNodes) -> None:
    """A hole: the newer one waits for the log."""
    client = await two.enter(1)
    two.bus.deaf = True
    await two.post("lost")
    two.bus.deaf = False
    await two.post("newer")
    await turns(20)
    assert texts(client) == ["lost", "newer"]


async def test_while_the_log_is_silent_nothing_newer_is_delivered(two: TwoNodes) -> None:
    """Behind and unable to read: members wait, newcomers are refused for now; afterwards all comes in order."""
    client = await two.enter(1)
    two.bus.deaf = True
    await two.post("lost")
    two.bus.deaf = False
    late = watched_client(two.stages[1].hub, "user-2")
    await late.take("connection")
    two.log.down = BusError("away")
    await two.post("newer")
    await turns(20)
    assert texts(client) == []
    reply = await late.ask("subscribe", room_id=ROOM)
    assert (reply["error"]["code"], reply["error"]["temporary"]) == ("broker_unavailable", True)
    stranger = watched_client(two.stages[1].hub, "user-3")
    assert (await stranger.take("connection"))["code"] == 4100
    two.log.down = None
    await two.clock.advance(2.0)
    assert texts(client) == ["lost", "newer"]


async def test_members_of_a_lost_room_get_a_gap_and_start_anew(two: TwoNodes) -> None:
    """The log has forgotten everything: told at the next message, silent until entered again, then not recovered."""
    clients = [await two.enter(which) for which in (0, 1)]
    await two.post("old")
    await turns(10)
    place = {"epoch": clients[0].read("room_message")[0]["epoch"], "offset": 1}
    two.log.forget_everything()
    await two.post("new")
    await turns(20)
    for client in clients:
        (gap,) = client.read("gap")
        assert (gap["epoch"], gap["from_offset"], gap["reason"]) == (place["epoch"], 2, "epoch_changed")
        client.send("subscribe", room_id=ROOM, since=place)
        await turns(10)
        (entered,) = client.read("subscribed")
        assert (entered["recovered"], entered["reason"], entered["offset"]) == (False, "epoch_changed", 1)
    await two.post("live", 1)
    await turns(10)
    assert [texts(client) for client in clients] == [["live"], ["live"]]


async def test_a_message_that_cannot_be_read_is_told_as_a_gap(two: TwoNodes) -> None:
    """Written by another version: the offset is not skipped in silence, and entering again goes on behind it."""
    client = await two.enter(1)
    await two.log.append(ROOM, b"\xc1 of another version", bounds=WIDE)
    await turns(20)
    (gap,) = client.read("gap")
    assert (gap["from_offset"], gap["to_offset"], gap["reason"]) == (1, 1, "unreadable")
    client.send("subscribe", room_id=ROOM, since={"epoch": gap["epoch"], "offset": 0})
    await turns(20)
    (entered,) = client.read("subscribed")
    assert (entered["recovered"], entered["reason"]) == (False, "history_trimmed")
    await two.post("next")
    await turns(20)
    assert texts(client) == ["next"]


async def test_a_channel_is_heard_only_while_somebody_is_inside(two: TwoNodes) -> None:
    """Left after a few quiet seconds, with everything this node remembered of it."""
    client = await two.enter(1)
    assert two.bus.listened.count(channel_of(ROOM)) == 1
    client.send("unsubscribe", room_id=ROOM)
    await two.clock.advance(1.0)
    client.send("subscribe", room_id=ROOM)
    await turns(10)
    await two.clock.advance(LINGER_S + 11)
    assert two.bus.listened.count(channel_of(ROOM)) == 1
    client.send("unsubscribe", room_id=ROOM)
    await two.clock.advance(LINGER_S + 21)
    assert two.stages[1].hub.room(ROOM) is None
    await two.enter(1)
    assert two.bus.listened.count(channel_of(ROOM)) == 2


async def test_noise_on_a_channel_disturbs_nobody(two: TwoNodes) -> None:
    """Foreign bytes, half a message, a place of a foreign epoch: counted or checked, and the room goes on."""
    client = await two.enter(1)
    foreign = announce(Place("e-foreign", 5), pack(posted(b'{"data":1}', kind="x", timestamp=0.0, key=None)))
    for noise in (b"", b"~", b"~\xff", b"=", b"= 1 ", b"=e -1 x", b"hello", foreign):
        two.bus.publish(channel_of(ROOM), [noise])
    await turns(20)
    await two.post("fine")
    await turns(20)
    assert texts(client) == ["fine"]
    assert two.stages[1].hub.statistics().shared["unreadable"] == 7


async def test_a_shared_room_cannot_be_published_to_behind_the_log(two: TwoNodes) -> None:
    """The synchronous way is for rooms of this node alone; using it here would be heard by half the members."""
    with pytest.raises(RuntimeError, match="post"):
        two.stages[0].hub.publish(ROOM, b'{"data":1}')
    assert two.stages[0].hub.publish("market:AAPL", b'{"data":1}', key="AAPL").offset == 1
