"""What every room log promises: the same tests against the in-process one and the one on a real Valkey."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bus.conftest import PATIENT
from tests.support.bus import Inbox
from tests.support.valkey import valkey, valkey_url
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.memory_log import MemoryRoomLog
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.room_log import Bounds, Place, RoomLog, announce, announced, channel_of
from tidewire.core.clock import SystemClock

__all__ = ["valkey", "valkey_url"]

WIDE = Bounds(1_000, 300.0, 1_000_000)


@dataclass
class Under:
    """A started log, the bus it announces on, and a room that nobody else uses."""

    log: RoomLog
    bus: Bus
    room: str

    async def add(self, *payloads: bytes, bounds: Bounds = WIDE) -> list[int]:
        """Append and return the offsets."""
        return [(await self.log.append(self.room, payload, bounds=bounds)).place.offset for payload in payloads]


@pytest.fixture(params=["memory", "redis"])
async def under(request: pytest.FixtureRequest) -> AsyncIterator[Under]:
    """Either kind."""
    clock = SystemClock()
    bus: Bus
    log: RoomLog
    if request.param == "memory":
        bus = MemoryBus(clock)
        log = MemoryRoomLog(bus, clock)
    else:
        url = request.getfixturevalue("valkey_url")
        bus = RedisBus(url, clock, random.Random(1), limits=PATIENT)
        log = RedisRoomLog(url, clock, random.Random(1), limits=PATIENT)
    await bus.start()
    await log.start()
    yield Under(log, bus, f"app:{uuid.uuid4().hex}")
    await log.stop()
    await bus.stop()


async def test_places_rise_by_one_and_everything_is_announced_once(under: Under) -> None:
    """Each message has the next offset of one epoch, and goes over the channel with it, in order."""
    inbox = Inbox()
    await under.bus.subscribe(channel_of(under.room), inbox.receive).ready()
    sent = [b"", b"{}", bytes(range(256)), b" 1 2 ", b"\r\n$3\r\n"]
    assert await under.add(*sent) == [1, 2, 3, 4, 5]
    heard = [announced(message) for message in await inbox.wait(len(sent))]
    assert [(entry.place.offset, entry.payload) for entry in heard if entry is not None] == list(enumerate(sent, 1))
    reading = await under.log.read(under.room, bounds=WIDE)
    assert {entry.place.epoch for entry in heard if entry is not None} == {reading.newest.epoch}


async def test_reading_gives_all_that_came_after_a_place(under: Under) -> None:
    """After any offset exactly the later ones; after the newest nothing; without a place everything."""
    assert await under.add(*(b"%d" % n for n in range(1, 6))) == [1, 2, 3, 4, 5]
    everything = await under.log.read(under.room, bounds=WIDE)
    assert (everything.newest.offset, everything.lost) == (5, None)
    for offset in range(6):
        since = Place(everything.newest.epoch, offset)
        reading = await under.log.read(under.room, bounds=WIDE, since=since)
        assert (reading.newest, reading.lost) == (everything.newest, None)
        assert [(e.place.offset, e.payload) for e in reading.entries] == [(n, b"%d" % n) for n in range(offset + 1, 6)]
        assert all(0 <= entry.age_s < 60 for entry in reading.entries)


async def test_an_unused_room_has_an_epoch_that_its_first_message_keeps(under: Under) -> None:
    """Whoever looks before anything was published can go on from what it saw."""
    before = await under.log.read(under.room, bounds=WIDE)
    assert (before.newest.offset, before.entries) == (0, [])
    assert (await under.log.append(under.room, b"x", bounds=WIDE)).place == Place(before.newest.epoch, 1)


@pytest.mark.parametrize(
    ("bounds", "kept"),
    [(Bounds(3, 300.0, 1_000_000), 3), (Bounds(1_000, 300.0, 45), 4), (Bounds(0, 300.0, 1_000), 0)],
    ids=["count", "bytes", "none"],
)
async def test_what_is_over_a_bound_goes_and_that_is_told(under: Under, bounds: Bounds, kept: int) -> None:
    """Only the newest stay; asking for more than those says ``history_trimmed``, asking for less does not."""
    await under.add(*[b"0123456789"] * 20, bounds=bounds)
    everything = await under.log.read(under.room, bounds=bounds)
    assert [entry.place.offset for entry in everything.entries] == list(range(21 - kept, 21))
    epoch = everything.newest.epoch
    reading = await under.log.read(under.room, bounds=bounds, since=Place(epoch, 20 - kept))
    assert (reading.lost, len(reading.entries)) == (None, kept)
    reading = await under.log.read(under.room, bounds=bounds, since=Place(epoch, 19 - kept))
    assert (reading.lost, len(reading.entries)) == ("history_trimmed", kept)


async def test_messages_grow_old(under: Under) -> None:
    """An age of nothing keeps nothing, and says so."""
    await under.add(b"a", b"b")
    epoch = (await under.log.read(under.room, bounds=WIDE)).newest.epoch
    # The broker counts milliseconds: once the clock has moved on by two, both are older than the bound.
    now = asyncio.get_running_loop().time()
    brief = Bounds(1_000, 0.001, 1_000)
    async with asyncio.timeout(45):
        while (reading := await under.log.read(under.room, bounds=brief, since=Place(epoch, 0))).entries:
            assert asyncio.get_running_loop().time() < now + 20
    assert (reading.lost, reading.newest.offset) == ("history_trimmed", 2)


async def test_the_same_key_is_the_same_message(under: Under) -> None:
    """Appended again under its key it keeps its place and is announced once; other keys and none are new messages."""
    inbox = Inbox()
    await under.bus.subscribe(channel_of(under.room), inbox.receive).ready()
    done = [await under.log.append(under.room, b"x", bounds=WIDE, key=key) for key in ("k", "k", "other", None, "k")]
    assert [(each.place.offset, each.repeated) for each in done] == [
        (1, False), (1, True), (2, False), (3, False), (1, True),
    ]  # fmt: skip
    assert len(await inbox.wait(3)) == 3


async def test_a_log_that_is_behind_what_was_seen_starts_a_new_epoch(under: Under) -> None:
    """Whether it is read or appended to: no place is ever given twice, and nothing old is served."""
    await under.add(b"a", b"b")
    first = await under.log.read(under.room, bounds=WIDE)
    reading = await under.log.read(under.room, bounds=WIDE, since=Place(first.newest.epoch, 3))
    assert (reading.lost, reading.newest.offset, list(reading.entries)) == ("epoch_changed", 0, [])
    assert reading.newest.epoch != first.newest.epoch
    done = await under.log.append(under.room, b"c", bounds=WIDE, known=Place(reading.newest.epoch, 7))
    assert done.place.offset == 1
    assert done.place.epoch not in (first.newest.epoch, reading.newest.epoch)
    # A place of an epoch that is gone proves nothing.
    again = await under.log.append(under.room, b"d", bounds=WIDE, known=Place(first.newest.epoch, 99))
    assert again.place == Place(done.place.epoch, 2)


async def test_rooms_do_not_mix(under: Under) -> None:
    """One room's name may be the beginning of another's."""
    other = Under(under.log, under.bus, under.room + ":2")
    assert await under.add(b"a", b"b") == [1, 2]
    assert await other.add(b"c") == [1]
    assert [entry.payload for entry in (await under.log.read(under.room, bounds=WIDE)).entries] == [b"a", b"b"]


@given(st.binary(max_size=60))
def test_foreign_bytes_on_a_channel_are_no_announcement(noise: bytes) -> None:
    """Whatever stands on the channel is read or refused, never half understood; ours is read as it was written."""
    entry = announced(noise)
    assert entry is None or announce(entry.place, entry.payload).startswith(b"=")
    ours = announced(announce(Place("e-1", 7), noise))
    assert ours is not None
    assert (ours.place, ours.payload) == (Place("e-1", 7), noise)
