"""The bus and the room log on a real cluster of three servers: what goes where, what moves, and what is away."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.bus.conftest import QUICK
from tests.support.bus import Inbox, Notices, until_state, wait_for_status
from tests.support.scripted_broker import ScriptedBroker
from tests.support.valkey import ValkeyProcess
from tests.support.valkey_cluster import ValkeyCluster, cluster
from tidewire.bus.redis_cluster import RedisClusterBus
from tidewire.bus.redis_cluster_log import RedisClusterLog
from tidewire.bus.redis_lease import KEY, RedisLease
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_members import RedisMembers
from tidewire.bus.redis_topology import RedisTopology
from tidewire.bus.room_log import Bounds, announced, channel_of
from tidewire.core.clock import SystemClock
from tidewire.core.errors import BusError, SettingsError

WIDE = Bounds(1_000, 300.0, 1_000_000)


@dataclass
class Site:
    """A cluster, and one process's connections to it."""

    cluster: ValkeyCluster
    bus: RedisClusterBus
    log: RedisClusterLog

    async def add(self, room: str, payload: bytes = b"x", key: str | None = None) -> int:
        """Append and return the offset."""
        return (await self.log.append(room, payload, bounds=WIDE, key=key)).place.offset

    async def until_log(self, state: str) -> None:
        """Return once the log is like that."""
        await until_state(self.log, state)


def connect(url: str) -> tuple[RedisClusterBus, RedisClusterLog]:
    """Return a process's connections, not started; the map is not fetched again unless something is amiss."""
    clock, chance = SystemClock(), random.Random(1)
    topology = RedisTopology(url, clock, limits=QUICK, refresh_every_s=1e6)
    return RedisClusterBus(topology, clock, chance, limits=QUICK), RedisClusterLog(
        topology, clock, chance, limits=QUICK
    )


@contextlib.asynccontextmanager
async def started(**options: str) -> AsyncIterator[Site]:
    """Yield a site in use."""
    async with cluster(**options) as servers:
        bus, log = connect(servers.url)
        await bus.start()
        await log.start()
        yield Site(servers, bus, log)
        await log.stop()
        await bus.stop()


def _text(message: bytes) -> bytes:
    """Return the payload, announced or plain."""
    entry = announced(message)
    return message if entry is None else entry.payload


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """Started."""
    async with started() as made:
        yield made


async def test_rooms_live_on_the_shard_of_their_slot_and_nowhere_else(site: Site) -> None:
    """Appends, announcements, members and plain messages of three rooms: each on one shard, all of them heard."""
    members = RedisMembers(site.log.commands)
    for room, server in zip(site.cluster.rooms(), site.cluster.servers, strict=True):
        inbox = Inbox()
        await site.bus.subscribe(channel_of(room), inbox.receive).ready()
        assert [await site.add(room, b"%d" % n, f"k{n}") for n in range(3)] == [1, 2, 3]
        site.bus.publish(channel_of(room), [b"plain"])
        heard = await inbox.wait(4)
        assert [entry.payload for message in heard if (entry := announced(message))] == [b"0", b"1", b"2"]
        assert b"plain" in heard
        await members.write(room, "node-a", {"7": b"seven"}, ())
        assert await members.read(room, "node-a") == {"7": b"seven"}
        for other in site.cluster.servers:
            keys = await site.cluster.ask(other, "KEYS", f"*{room}*")
            assert isinstance(keys, list)
            assert bool(keys) is (other is server)
            channels = await site.cluster.ask(other, "PUBSUB", "SHARDCHANNELS", f"*{room}*")
            assert bool(channels) is (other is server)
    assert (site.bus.status().state, site.log.status().state) == ("up", "up")
    # Asked in the right place at once.
    assert (site.log.status().redirected, site.bus.status().gaps) == (0, 0)


async def test_a_killed_shard_takes_its_own_rooms_and_no_others(site: Site) -> None:
    """SIGKILL of one of three: its room is refused, the others are published to and heard, and it comes back."""
    first, second, _ = rooms = site.cluster.rooms()
    inboxes = {room: Inbox() for room in rooms}
    for room in rooms:
        await site.bus.subscribe(channel_of(room), inboxes[room].receive).ready()
        await site.add(room)
    notices = Notices(site.bus)
    site.cluster.servers[0].kill()
    await site.until_log("degraded")
    await wait_for_status(site.bus, lambda status: status.state == "degraded")
    with pytest.raises(BusError) as refusal:
        await site.add(first)
    assert refusal.value.code == "broker_unavailable"
    assert not site.bus.reaches(channel_of(first))
    with pytest.raises(BusError):
        site.bus.publish(channel_of(first), [b"lost"])
    assert await site.add(second) == 2
    assert site.bus.reaches(channel_of(second))
    assert len(await inboxes[second].wait(2)) == 2
    away = [shard.endpoint for shard in site.log.status().shards if shard.state == "down"]
    assert away == [f"127.0.0.1:{site.cluster.servers[0].port}"]
    assert away[0] in site.log.status().reason
    await asyncio.to_thread(site.cluster.servers[0].start)
    await site.until_log("up")
    await notices.wait(lambda told: channel_of(first) in told.gaps)
    assert channel_of(second) not in notices.gaps


async def test_a_frozen_shard_is_told_within_its_deadline(site: Site) -> None:
    """SIGSTOP of one of three: what is asked of it fails as unknown, the others answer meanwhile; then it goes on."""
    first, second, _ = site.cluster.rooms()
    await site.add(first)
    site.cluster.servers[0].freeze()
    async with asyncio.timeout(45):
        outcome, offset = await asyncio.gather(
            site.add(first, b"a", "k"), site.add(second, b"b"), return_exceptions=True
        )
    assert isinstance(outcome, BusError)
    assert "unknown" in outcome.message
    assert offset == 1
    site.cluster.servers[0].thaw()
    await site.until_log("up")
    assert await site.add(first, b"a", "k") == 2


async def test_a_slot_that_moves_is_followed(site: Site) -> None:
    """Resharding while nobody looks: appends, listening and publishing find the new owner, and a gap is told."""
    room = site.cluster.rooms()[0]
    inbox = Inbox()
    await site.bus.subscribe(channel_of(room), inbox.receive).ready()
    assert await site.add(room, b"before", "k") == 1
    notices = Notices(site.bus)
    await site.cluster.move(channel_of(room), site.cluster.servers[2])
    # Another server process, which does not fsync: its word is not taken for the first one's.
    place = (await site.log.append(room, b"after", bounds=WIDE)).place
    assert place.offset == 1
    await notices.wait(lambda told: channel_of(room) in told.gaps)
    assert await site.add(room, b"heard") == 2
    site.bus.publish(channel_of(room), [b"plain"])
    count = 0
    while not {b"plain", b"heard"} <= {_text(message) for message in inbox.payloads}:
        count = len(await inbox.wait(count + 1))
    assert (site.bus.status().state != "down", site.log.status().state) == (True, "up")


async def test_a_listener_follows_its_channel_by_itself(site: Site) -> None:
    """Nothing is asked or published here: the old owner's notice alone leads to the new one, and a gap is told."""
    room = site.cluster.rooms()[0]
    inbox, notices = Inbox(), Notices(site.bus)
    await site.bus.subscribe(channel_of(room), inbox.receive).ready()
    target = site.cluster.servers[1]
    await site.cluster.move(channel_of(room), target)
    await notices.wait(lambda told: channel_of(room) in told.gaps)
    assert await site.cluster.ask(target, "SPUBLISH", channel_of(room), "hello") == 1
    assert await inbox.wait(1) == [b"hello"]


async def test_the_log_learns_where_a_room_has_gone(site: Site) -> None:
    """The first question after a move is redirected, the next one is not; what is known of other rooms stays."""
    first, second, _ = site.cluster.rooms()
    await site.cluster.move(channel_of(first), site.cluster.servers[2])
    await site.add(first)
    assert site.log.status().redirected == 1
    await site.add(first)
    await site.add(second)
    assert site.log.status().redirected == 1


async def test_a_subscription_is_ready_at_the_place_it_is_sent_to(site: Site) -> None:
    """Asked for by a map that is out of date: ready() returns once the new owner has confirmed it."""
    room = site.cluster.rooms()[0]
    target = site.cluster.servers[1]
    await site.cluster.move(channel_of(room), target)
    inbox = Inbox()
    await site.bus.subscribe(channel_of(room), inbox.receive).ready()
    assert await site.cluster.ask(target, "SPUBLISH", channel_of(room), "hello") == 1
    assert await inbox.wait(1) == [b"hello"]


async def test_what_is_published_to_the_old_place_is_counted_as_lost(site: Site) -> None:
    """A plain message that meets MOVED is not sent after it; the next one goes to the new place."""
    name, target = "tidewire:{feed}:x", site.cluster.servers[2]
    await site.cluster.move(name, target)
    for _ in range(2):
        site.bus.publish(name, [b"unheard"])
        await site.bus.ping()
        assert site.bus.status().lost == 1
    inbox = Inbox()
    await site.bus.subscribe(name, inbox.receive).ready()
    site.bus.publish(name, [b"heard"])
    assert await inbox.wait(1) == [b"heard"]


async def test_a_server_that_is_cut_off_from_the_others_is_not_the_only_one_asked() -> None:
    """It answers, and still calls the slots its own; who has taken them over is found by asking somebody else."""

    def slots(*ports: int) -> bytes:
        servers = b"".join(b"*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n" % port for port in ports)
        return b"*1\r\n*%d\r\n:0\r\n:16383\r\n%b" % (2 + len(ports), servers)

    async with ScriptedBroker() as cut_off, ScriptedBroker() as successor:
        cut_off.answers[b"cluster"] = slots(cut_off.port, successor.port)
        successor.answers[b"cluster"] = slots(successor.port)
        topology = RedisTopology(cut_off.url, SystemClock(), limits=QUICK)
        changed = asyncio.Event()
        topology.changed.add(changed.set)
        await topology.start()
        owner = topology.owner("x")
        assert owner is not None
        assert owner.port == cut_off.port
        changed.clear()
        # Its shard is unusable: a primary without the majority takes nothing.
        topology.troubled.append(lambda: topology.owner("x") == owner)
        topology.hurry()
        async with asyncio.timeout(45):
            await changed.wait()
        found = topology.owner("x")
        assert found is not None
        assert found.port == successor.port
        await topology.stop()


async def test_a_slot_that_is_being_moved_is_refused_in_part_and_loses_nothing() -> None:
    """Half of a room's keys moved: refused as not done; all of them: asked of the new owner; moved: nothing is lost."""
    async with started(appendonly="yes", appendfsync="always") as site:
        room = site.cluster.rooms()[0]
        name, (source, target) = channel_of(room), site.cluster.servers[:2]
        first = (await site.log.append(room, b"1", bounds=WIDE, key="k1")).place
        await site.cluster.begin_move(name, target)
        await site.cluster.hand_over(source, target, f"tidewire:log:{{{room}}}:head")
        with pytest.raises(BusError) as refusal:
            await site.add(room, b"2")
        assert "Nothing was done" in refusal.value.will_not
        await site.cluster.hand_over(source, target, f"tidewire:log:{{{room}}}:stream")
        # All that this one touches is there: the old owner says ASK, and the new one takes it. The next one brings a
        # key that is nowhere yet, which neither takes until the slot has arrived.
        assert await site.add(room, b"2") == 2
        with pytest.raises(BusError):
            await site.add(room, b"3", "k3")
        await site.cluster.end_move(name, target)
        assert await site.add(room, b"3", "k3") == 3
        assert await site.add(room, b"1", "k1") == 1
        reading = await site.log.read(room, bounds=WIDE, since=first)
        assert (reading.lost, [entry.payload for entry in reading.entries]) == (None, [b"2", b"3"])
        assert site.log.status().durable


async def test_a_cluster_must_be_told_and_so_must_a_single_server(valkey: ValkeyProcess) -> None:
    """A cluster used as one server, and one server used as a cluster, both end the start with three sentences."""
    bus, _ = connect(f"redis://127.0.0.1:{valkey.port}")
    with pytest.raises(SettingsError) as refusal:
        await bus.start()
    assert "TIDEWIRE_REDIS_CLUSTER" in refusal.value.required_action
    async with cluster() as servers:
        log = RedisRoomLog(f"redis://127.0.0.1:{servers.servers[0].port}", SystemClock(), random.Random(1))
        with pytest.raises(SettingsError) as refusal:
            await log.start()
        assert "TIDEWIRE_REDIS_CLUSTER" in refusal.value.required_action


async def test_a_shard_that_evicts_ends_the_start() -> None:
    """One bad shard is enough: nothing is left running."""
    async with cluster() as servers:
        await servers.ask(servers.servers[1], "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        _, log = connect(servers.url)
        with pytest.raises(SettingsError) as refusal:
            await log.start()
        assert "allkeys-lru" in refusal.value.message


async def test_the_lease_is_found_wherever_it_is_and_by_whichever_server(site: Site) -> None:
    """Asked of each server in turn, the lease is one; when its slot moves in between, the holder keeps it."""
    first = 0
    for server in site.cluster.servers:
        lease = RedisLease(f"redis://127.0.0.1:{server.port}", "me", ttl_s=60)
        answer = await lease.ask()
        assert (answer.mine, answer.fence) == (True, first or answer.fence)
        first = answer.fence
        other = RedisLease(site.cluster.url, "you", ttl_s=60)
        assert (await other.ask()).holder == "me"
        await other.close()
        if server is site.cluster.servers[0]:
            assert site.cluster.of(KEY) is site.cluster.servers[1]
            await site.cluster.move(KEY, site.cluster.servers[2])
            assert (await lease.ask()).fence == first
        await lease.close()
    site.cluster.servers[0].kill()
    lease = RedisLease(site.cluster.url, "me", ttl_s=60)
    with pytest.raises(BusError):
        await lease.ask()
    assert (await lease.ask()).mine
    await lease.close()
