"""The room log and a Valkey that dies, freezes, forgets, or must not be used: told at once, never believed blindly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest

from tests.bus.conftest import QUICK
from tests.support.bus import until_circuit
from tests.support.fault_proxy import FaultProxy
from tests.support.scripted_broker import ScriptedBroker
from tests.support.valkey import BareClient, ValkeyProcess
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.room_log import Bounds, Place
from tidewire.core.clock import SystemClock
from tidewire.core.errors import BusError, SettingsError

WIDE = Bounds(1_000, 300.0, 1_000_000)
ROOM = "app:x"
MakeLog = Callable[[str], RedisRoomLog]


@pytest.fixture
async def make_log() -> AsyncIterator[MakeLog]:
    """A maker of logs, stopped afterwards."""
    made: list[RedisRoomLog] = []

    def make(url: str) -> RedisRoomLog:
        made.append(RedisRoomLog(url, SystemClock(), random.Random(len(made)), limits=QUICK))
        return made[-1]

    yield make
    for log in made:
        await log.stop()


async def add(log: RedisRoomLog, payload: bytes, key: str | None = None) -> Place:
    """Append one message."""
    return (await log.append(ROOM, payload, bounds=WIDE, key=key)).place


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_server_that_evicts_is_refused(make_log: MakeLog, policy: str) -> None:
    """The start ends with three sentences, and nothing is left running."""
    with ValkeyProcess(maxmemory_policy=policy) as server:
        log = make_log(server.url)
        with pytest.raises(SettingsError) as refusal:
            await log.start()
        error = refusal.value
        assert policy in error.message
        assert error.required_action
        assert error.will_not
        assert log.commands.in_flight == 0


def about(**facts: str) -> bytes:
    """Return what INFO says of a server that is fit for use but for its version."""
    usual = {"run_id": "a" * 40, "role": "master", "maxmemory_policy": "noeviction", "aof_enabled": "0"}
    text = "".join(f"{name}:{value}\r\n" for name, value in {**usual, **facts}.items()).encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"redis_version": "6.2.14"}, "Redis 6.2.14"),
        ({"redis_version": "6.9.242"}, "Redis 6.9.242"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "7.2.9"}, "Valkey 7.2.9"),
        ({}, "Redis ?"),
        ({"redis_version": "seven"}, "Redis seven"),
    ],
)
async def test_a_server_that_is_too_old_is_refused(make_log: MakeLog, facts: dict[str, str], shown: str) -> None:
    """By its own word, which a real one of that age gives: three sentences, and nothing is asked of it any more."""
    async with ScriptedBroker() as broker:
        broker.answers[b"info"] = about(**facts)
        log = make_log(broker.url)
        with pytest.raises(SettingsError) as refusal:
            await log.start()
        assert shown in refusal.value.message
        assert "Redis 7 or Valkey 8" in refusal.value.required_action
        assert "does not start" in refusal.value.will_not
        assert broker.commands[-1] == [b"INFO"]
        assert log.commands.in_flight == 0


@pytest.mark.parametrize(
    "facts",
    [{"redis_version": "7.0.0"}, {"redis_version": "10.1"}, {"redis_version": "7.2.4", "valkey_version": "8.0.0"}],
)
async def test_the_oldest_that_will_do(make_log: MakeLog, facts: dict[str, str]) -> None:
    """A server of the first version that is taken is used, and one with more digits is newer, not older."""
    async with ScriptedBroker() as broker:
        broker.answers |= {b"info": about(**facts), b"config": b"*2\r\n$11\r\nappendfsync\r\n$8\r\neverysec\r\n"}
        log = make_log(broker.url)
        await log.start()
        assert log.status().state == "up"
        await log.stop()


async def test_nobody_there_is_told_at_the_start(make_log: MakeLog) -> None:
    """A port that refuses: BusError, no fallback."""
    async with FaultProxy(1) as proxy:
        proxy.set("refuse")
        with pytest.raises(BusError) as refusal:
            await make_log(f"redis://127.0.0.1:{proxy.port}/0").start()
    assert "does not fall back" in refusal.value.will_not


async def test_a_frozen_server_is_told_within_the_deadline_and_nothing_is_doubled(
    valkey: ValkeyProcess, make_log: MakeLog
) -> None:
    """SIGSTOP: what is asked fails as unknown, what comes after at once; afterwards the key finds the outcome."""
    log = make_log(valkey.url)
    await log.start()
    first = await add(log, b"before")
    valkey.freeze()
    async with asyncio.timeout(45):
        outcomes = await asyncio.gather(*(add(log, b"%d" % n, f"k{n}") for n in range(10)), return_exceptions=True)
    assert all(isinstance(outcome, BusError) and "unknown" in outcome.message for outcome in outcomes)
    with pytest.raises(BusError) as refusal:
        await add(log, b"refused")
    assert "Nothing was done" in refusal.value.will_not
    assert log.status().state == "down"
    valkey.thaw()
    await until_circuit(log, "closed")
    places = [await add(log, b"%d" % n, f"k{n}") for n in range(10)]
    places += [await add(log, b"%d" % n, f"k{n}") for n in range(10)]
    assert places[:10] == places[10:]
    reading = await log.read(ROOM, bounds=WIDE, since=first)
    assert sorted(entry.payload for entry in reading.entries) == [b"%d" % n for n in range(10)]
    assert {entry.place for entry in reading.entries} == set(places)


@pytest.mark.parametrize(("fsync", "keeps"), [("always", True), ("everysec", False), (None, False)])
async def test_a_killed_server_is_believed_only_if_it_cannot_have_lost_anything(
    make_log: MakeLog, fsync: str | None, keeps: bool
) -> None:
    """kill -9 and restart: fsync always keeps epoch and messages; anything less begins a new epoch, kept or not."""
    options = {"appendonly": "yes", "appendfsync": fsync} if fsync else {}
    with ValkeyProcess(**options) as server:
        log = make_log(server.url)
        await log.start()
        place = await add(log, b"a", "k")
        server.kill()
        await until_circuit(log, "open")
        await asyncio.to_thread(server.start)
        await until_circuit(log, "closed")
        assert log.status().durable is keeps
        later = await add(log, b"b")
        assert (later.epoch == place.epoch) is keeps
        assert later.offset == (2 if keeps else 1)
        reading = await log.read(ROOM, bounds=WIDE, since=place)
        assert reading.lost == (None if keeps else "epoch_changed")
        assert [entry.payload for entry in reading.entries] == [b"b"]
        assert (log.status().state_losses > 0) is (fsync == "everysec")


async def test_flushall_begins_a_new_epoch(valkey: ValkeyProcess, make_log: MakeLog) -> None:
    """Emptied under our hands, without a break of the connection: no offset of the old epoch is given again."""
    log = make_log(valkey.url)
    await log.start()
    place = await add(log, b"a")
    assert await BareClient(valkey.port).command("FLUSHALL") == b"+OK"
    assert (await log.read(ROOM, bounds=WIDE, since=place)).lost == "epoch_changed"


async def test_forgotten_scripts_are_taught_again(valkey: ValkeyProcess, make_log: MakeLog) -> None:
    """SCRIPT FLUSH costs nothing but the sending of the source."""
    log = make_log(valkey.url)
    await log.start()
    await add(log, b"a")
    assert await BareClient(valkey.port).command("SCRIPT", "FLUSH") == b"+OK"
    assert (await add(log, b"b")).offset == 2


async def test_a_full_server_refuses_and_says_so(make_log: MakeLog) -> None:
    """maxmemory reached: broker_readonly, nothing half done, and reading still works."""
    with ValkeyProcess(maxmemory="3mb") as server:
        log = make_log(server.url)
        await log.start()
        large = Bounds(1_000, 300.0, 100_000_000)
        fill = [log.append(ROOM, b"x" * 60_000, bounds=large) for _ in range(100)]
        outcomes = await asyncio.gather(*fill, return_exceptions=True)
        kept = sum(not isinstance(outcome, BaseException) for outcome in outcomes)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BusError)]
        assert {error.code for error in refused} == {"broker_readonly"}
        assert 0 < kept == 100 - len(refused)
        reading = await log.read(ROOM, bounds=WIDE)
        assert reading.newest.offset == len(reading.entries) == kept


async def test_a_black_hole_in_between_is_like_a_frozen_server(valkey: ValkeyProcess, make_log: MakeLog) -> None:
    """Half-open: told within the deadline, and after it the log is used again by itself."""
    async with FaultProxy(valkey.port) as proxy:
        log = make_log(f"redis://127.0.0.1:{proxy.port}/0")
        await log.start()
        await add(log, b"a")
        proxy.set("blackhole")
        with pytest.raises(BusError):
            await add(log, b"b", "k")
        proxy.set("pass")
        proxy.reset()
        await until_circuit(log, "closed")
        assert (await add(log, b"b", "k")).offset == 2


async def test_keys_go_when_nobody_needs_them(valkey: ValkeyProcess, make_log: MakeLog) -> None:
    """Everything that is written expires by itself; a room that was only looked at does so within a minute."""
    log, client = make_log(valkey.url), BareClient(valkey.port)
    await log.start()
    await add(log, b"a", "k")
    await log.read("app:seen", bounds=WIDE)
    assert await client.command("DBSIZE") == b":4"
    for name in ("{app:x}:head", "{app:x}:stream", "{app:seen}:head"):
        left = int((await client.command("PTTL", f"tidewire:log:{name}"))[1:])
        assert 0 < left <= {"{app:x}:head": 3_600_000, "{app:x}:stream": 300_000, "{app:seen}:head": 60_000}[name]
