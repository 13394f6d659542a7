"""Two real servers, a primary and its replica: what a failover loses, and that it is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from tests.bus.conftest import QUICK
from tests.support.bus import until_state
from tests.support.fault_proxy import FaultProxy
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.room_log import Bounds, Place
from tidewire.core.clock import SystemClock
from tidewire.core.errors import BusError

WIDE = Bounds(1_000, 300.0, 1_000_000)
ROOM = "app:x"


@dataclass
class Pair:
    """A primary, its replica, and an address that whoever runs them points at one of the two."""

    primary: ValkeyProcess
    replica: ValkeyProcess
    proxy: FaultProxy
    log: RedisRoomLog
    asked_again: int = 0

    async def add(self, payload: bytes, key: str | None = None) -> Place:
        """Append one message."""
        return (await self.log.append(ROOM, payload, bounds=WIDE, key=key)).place

    async def fail_over(self) -> None:
        """The primary is killed, the replica promoted, the address points there; return once the log is back."""
        self.primary.kill()
        await until_state(self.log, "down")
        await ask(self.replica, "REPLICAOF", "NO", "ONE")
        self.proxy.target = self.replica.port
        await until_state(self.log, "up")


async def ask(server: ValkeyProcess, *words: str) -> object:
    """Ask one server one thing."""
    client: Redis = Redis(port=server.port, protocol=2)
    try:
        return await client.execute_command(*words)  # type: ignore[no-untyped-call]
    finally:
        await client.aclose()


async def copied(primary: ValkeyProcess, replica: ValkeyProcess) -> None:
    """Return once the replica has everything and the primary knows it."""

    async def done() -> bool:
        return await _linked(replica) and await ask(primary, "WAIT", "1", "1000") == 1

    await eventually(done)


async def _linked(replica: ValkeyProcess) -> bool:
    info = await ask(replica, "INFO", "replication")
    assert isinstance(info, dict)
    return bool(info["master_link_status"] == "up" and not info["master_sync_in_progress"])


@pytest.fixture(params=[0, 1], ids=["without WAIT", "with WAIT"])
def mode(request: pytest.FixtureRequest) -> int:
    """How many replicas are waited for."""
    replicas: int = request.param
    return replicas


@pytest.fixture
async def pair(mode: int) -> AsyncIterator[Pair]:
    """Started; the replica copies."""
    durable = {"appendonly": "yes", "appendfsync": "always", "repl_diskless_sync_delay": "0"}
    with ValkeyProcess(**durable) as primary, ValkeyProcess(**durable) as replica:
        await ask(replica, "REPLICAOF", "127.0.0.1", str(primary.port))
        await copied(primary, replica)
        async with FaultProxy(primary.port) as proxy:
            log = RedisRoomLog(
                f"redis://127.0.0.1:{proxy.port}/0",
                SystemClock(),
                random.Random(1),
                limits=QUICK,
                min_replicas=mode,
            )
            await log.start()
            yield Pair(primary, replica, proxy, log)
            await log.stop()


async def test_a_replica_that_takes_over_is_not_believed(pair: Pair, mode: int) -> None:
    """Whether or not it had everything: a new epoch, and readers are told; with WAIT it needs a replica of its own."""
    before = await added(pair, b"a", "k")
    assert pair.log.status().durable
    await pair.fail_over()
    reading = await pair.log.read(ROOM, bounds=WIDE, since=before)
    assert reading.lost == "epoch_changed"
    assert reading.newest.epoch != before.epoch
    assert not pair.log.status().durable
    if mode:
        with pytest.raises(BusError):
            await pair.add(b"b")
    else:
        assert (await pair.add(b"b")).epoch == reading.newest.epoch


async def test_what_no_replica_has_is_acknowledged_only_without_wait(pair: Pair, mode: int) -> None:
    """The replica is frozen: without WAIT the message is acknowledged and lost, with it the outcome is unknown."""
    await added(pair, b"a", "k1")
    pair.replica.freeze()
    if not mode:
        assert (await pair.add(b"b", "k2")).offset == 2
    else:
        with pytest.raises(BusError) as refusal:
            await pair.add(b"b", "k2")
        assert "unknown" in refusal.value.message
        assert "op_id" in refusal.value.required_action
        # The connection is fine, and the same again finds the place once the replica is back.
        assert pair.log.status().state == "up"
    pair.replica.thaw()
    assert (await added(pair, b"b", "k2")).offset == 2
    assert (await added(pair, b"c", "k3")).offset == 3


async def added(pair: Pair, payload: bytes, key: str) -> Place:
    """Append, again with the same key while the outcome is unknown."""

    async def once() -> Place:
        try:
            return await pair.add(payload, key)
        except BusError:
            pair.asked_again += 1
            raise

    return await eventually(once, in_vain=(BusError,))


async def test_a_repeated_publish_waits_for_what_the_first_one_wrote(pair: Pair, mode: int) -> None:
    """Asked again on a new connection that has written nothing itself, while the replica is frozen: still unknown."""
    pair.replica.freeze()
    first = await asyncio.gather(pair.add(b"a", "k"), return_exceptions=True)
    assert isinstance(first[0], BusError) is bool(mode)
    again = asyncio.Event()
    watch = pair.log.on_connect(lambda _: again.set())
    pair.proxy.reset()
    async with asyncio.timeout(45):
        await again.wait()
    watch.close()
    second = await asyncio.gather(pair.add(b"a", "k"), return_exceptions=True)
    assert isinstance(second[0], BusError) is bool(mode)
    pair.replica.thaw()
    assert (await added(pair, b"a", "k")).offset == 1


@pytest.mark.parametrize("mode", [1], indirect=True)
async def test_many_publishes_share_their_waits(pair: Pair) -> None:
    """A thousand at once are all acknowledged, in places that rise in the order of the calls."""
    places = await asyncio.gather(*(added(pair, b"%d" % n, f"k{n}") for n in range(1_000)))
    assert [place.offset for place in places] == list(range(1, 1_001))
    assert pair.log.status().calls < 1_500 + 2 * pair.asked_again
