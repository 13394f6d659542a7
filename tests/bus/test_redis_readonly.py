"""A Redis or Valkey that answers and takes no writes: it has become a replica, or cannot save (MISCONF)."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.bus.conftest import QUICK, MakeBus
from tests.support.bus import Inbox, Notices, until_circuit, wait_for_status
from tests.support.fault_proxy import FaultProxy
from tests.support.valkey import BareClient, ValkeyProcess
from tests.support.waiting import eventually, until
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_lease import RedisLease
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.room_log import Bounds, Place
from tidewire.bus.wire import BrokerLimits
from tidewire.core.clock import SystemClock
from tidewire.core.errors import BusError

WIDE = Bounds(1_000, 300.0, 1_000_000)
# Nothing is asked of a quiet connection: only what a test asks for can be refused.
SILENT = msgspec.structs.replace(QUICK, ping_interval_s=1e6)
NOWHERE = ("127.0.0.1", "1")


@contextlib.asynccontextmanager
async def started(url: str, limits: BrokerLimits = QUICK) -> AsyncIterator[RedisRoomLog]:
    """Yield a room log in use."""
    log = RedisRoomLog(url, SystemClock(), random.Random(1), limits=limits)
    await log.start()
    yield log
    await log.stop()


async def add(log: RedisRoomLog, payload: bytes = b"x") -> Place:
    """Append one message."""
    return (await log.append("app:x", payload, bounds=WIDE)).place


async def refused(log: RedisRoomLog) -> BusError:
    """Append in vain."""
    with pytest.raises(BusError) as refusal:
        await add(log)
    assert refusal.value.required_action
    assert refusal.value.will_not
    return refusal.value


async def command(server: ValkeyProcess, *words: str) -> bytes:
    """Say something to the server, as its operator."""
    return await BareClient(server.port).command(*words)


async def demote(server: ValkeyProcess, primary: tuple[str, str] = NOWHERE) -> None:
    """Make it a replica, under the hands of those who are connected."""
    assert await command(server, "REPLICAOF", *primary) == b"+OK"


async def test_a_publish_to_a_server_that_has_become_a_replica_is_refused_as_such(valkey: ValkeyProcess) -> None:
    """broker_readonly, then the circuit opens and stays open until it is a primary again; the room goes on there."""
    async with started(valkey.url, SILENT) as log:
        before = await add(log)
        await demote(valkey)
        assert (await refused(log)).code == "broker_readonly"
        await until_circuit(log, "open")
        assert (await refused(log)).code == "broker_unavailable"
        # A reason alone is no event.
        await until(lambda: "replica" in log.status().reason, 20)
        assert await command(valkey, "REPLICAOF", "NO", "ONE") == b"+OK"
        await until_circuit(log, "closed")
        after = await add(log)
        assert (after.epoch, after.offset) == (before.epoch, 2)


async def test_a_quiet_log_notices_by_itself(valkey: ValkeyProcess) -> None:
    """Nobody publishes: the circuit opens all the same, so that everybody is told before they try."""
    async with started(valkey.url) as log:
        await demote(valkey)
        await until_circuit(log, "open")
        assert "replica" in log.status().reason


@pytest.mark.parametrize("busy", [False, True], ids=["quiet", "busy"])
async def test_a_bus_goes_where_the_primary_is(valkey: ValkeyProcess, channel: str, busy: bool) -> None:
    """Its server is demoted and the address leads elsewhere, no connection is cut: it is heard at the new primary."""
    limits = msgspec.structs.replace(QUICK, ping_interval_s=1e6 if busy else 0.1)
    with ValkeyProcess() as primary:
        async with FaultProxy(valkey.port) as proxy:
            bus = RedisBus(f"redis://127.0.0.1:{proxy.port}", SystemClock(), random.Random(1), limits=limits)
            there = RedisBus(primary.url, SystemClock(), random.Random(2), limits=QUICK)
            inbox, notices = Inbox(), Notices(bus)
            for each in (bus, there):
                await each.start()
                await each.subscribe(channel, inbox.receive if each is there else lambda *_: None).ready()
            proxy.target = primary.port
            await demote(valkey, ("127.0.0.1", str(primary.port)))

            def down() -> bool:
                told = "down" in notices.names
                if busy and not told:
                    bus.publish(channel, [b"unheard"])
                return told

            await until(down, 20)
            assert "replica" in notices.states[notices.names.index("down")].reason
            await wait_for_status(bus, lambda status: status.state != "down")
            # What came to the old server in its last second as a primary's replica was heard by nobody here.
            heard = len(inbox.payloads)
            bus.publish(channel, [b"heard"])
            assert (await inbox.wait(heard + 1))[-1] == b"heard"
            assert bus.status().reconnects == 1
            await bus.stop()
            await there.stop()


async def test_a_bus_does_not_begin_at_a_replica(valkey: ValkeyProcess, make_bus: MakeBus) -> None:
    """The start ends with why, and nothing is left running."""
    await demote(valkey)
    bus = make_bus(valkey.url)
    with pytest.raises(BusError) as refusal:
        await bus.start()
    assert "replica" in refusal.value.message
    assert bus.status().state == "down"


async def test_who_may_not_ask_for_the_role_is_told_what_that_costs(valkey: ValkeyProcess, make_bus: MakeBus) -> None:
    """One line with the permission to give; the bus works."""
    await command(valkey, "ACL", "SETUSER", "small", "on", ">pw", "&*", "+@all", "-role")
    with capture_logs() as logs:
        bus = make_bus(f"redis://small:pw@127.0.0.1:{valkey.port}")
        await bus.start()
        for _ in range(5):
            await bus.ping()
    assert (bus.status().state, bus.status().reconnects) == ("up", 0)
    told = [entry for entry in logs if entry["event"] == "bus_role_unknown"]
    assert ["+role" in entry["required_action"] for entry in told] == [True]


async def test_a_server_that_cannot_save_is_told_and_tried_again(valkey: ValkeyProcess) -> None:
    """MISCONF: broker_readonly, then like an absent server; when it can save again, nothing acknowledged is missing."""
    in_the_way = valkey.folder / "dump.rdb"
    async with started(valkey.url, SILENT) as log:
        first = await add(log, b"before")
        in_the_way.mkdir()
        assert await command(valkey, "CONFIG", "SET", "save", "3600 1") == b"+OK"
        await command(valkey, "BGSAVE")
        failed = b"rdb_last_bgsave_status:err"
        await eventually(lambda: command(valkey, "INFO", "persistence"), lambda info: failed in info)
        assert (await refused(log)).code == "broker_readonly"
        await until_circuit(log, "open")
        assert "MISCONF" in (await refused(log)).message
        in_the_way.rmdir()
        assert await command(valkey, "SAVE") == b"+OK"
        await until_circuit(log, "closed")
        assert (await add(log, b"after")).offset == 2
        reading = await log.read("app:x", bounds=WIDE, since=Place(first.epoch, 0))
        assert [entry.payload for entry in reading.entries] == [b"before", b"after"]


async def test_a_lease_is_not_given_by_a_replica(valkey: ValkeyProcess) -> None:
    """A feed that asks a replica is told that it takes no writes, and does not lead."""
    await demote(valkey)
    lease = RedisLease(valkey.url, "me", ttl_s=60)
    with pytest.raises(BusError) as refusal:
        await lease.ask()
    assert "READONLY" in refusal.value.message
    assert "takes no writes" in refusal.value.required_action
    await lease.close()
