"""Two whole processes on one database and one Redis cluster: one when it is whole, and honest when a shard is away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.app.test_rooms_api import make_key
from tests.support.platform import Served, served, settings_for
from tests.support.valkey_cluster import ValkeyCluster, cluster
from tidewire.app.account_changes import CHANNEL as ACCOUNTS
from tidewire.app.platform import Platform
from tidewire.bus.room_log import channel_of


@contextlib.asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[ValkeyCluster, Served, Served]]:
    """Yield a cluster and two processes; the second uses the first one's database and its logins."""
    async with cluster() as servers:
        where = {"redis_url": servers.url, "redis_cluster": True}
        async with served(folder, node_name="one", **where) as one:
            platform = Platform(settings_for(folder, node_name="two", **where), with_feed=False)
            await platform.start()
            try:
                yield servers, one, Served(platform, one.cookies)
            finally:
                await platform.stop()


async def test_two_processes_on_a_cluster_are_one(tmp_path: Path) -> None:
    """Rooms of every shard: published on one process, heard on the other; presence, history and revocation too."""
    async with asyncio.timeout(60), both(tmp_path) as (servers, one, two):
        for job in two.side._jobs:
            await job.stop()
        key = await make_key(one)
        async with two.raw("bob") as bob:
            await bob.expect("connection", status="connected")
            async with one.http(Authorization=f"Bearer {key.key}") as http:
                for number, room in enumerate(servers.rooms(), 1):
                    bob.say("subscribe", id=number, room_id=room)
                    await bob.expect("reply", id=number, ok=True)
                    answer = await http.post("/api/v1/publish", json={"room_id": room, "data": number})
                    assert answer.json()["offset"] == 1
                    assert (await bob.expect("room_message"))["data"] == number
            async with one.http("ada") as http:
                for number, room in enumerate(servers.rooms(), 1):
                    history = (await http.get(f"/api/v1/rooms/{room}/history")).json()
                    assert [message["data"] for message in history["messages"]] == [number]
                    present = (await http.get(f"/api/v1/rooms/{room}/presence")).json()
                    assert [member["username"] for member in present["members"]] == ["bob"]
            await one.accounts.change_user("bob", disabled=True)
            assert await bob.close_code() == 4511


async def test_a_shard_that_is_away_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """Ready, with the shard's name for insiders and in the metrics; its rooms 503, others 200; revocation by review."""
    async with asyncio.timeout(60), both(tmp_path) as (servers, one, two):
        dead = servers.of(ACCOUNTS)
        key = await make_key(one)
        async with two.raw("bob") as bob, one.http(Authorization=f"Bearer {key.key}") as http, one.http() as look:
            await bob.expect("connection", status="connected")
            dead.kill()
            await bob.expect("connection", status="degraded")
            for room in servers.rooms():
                body = {"room_id": room, "data": "x"}
                answer = await http.post("/api/v1/publish", json=body)
                away = servers.of(channel_of(room)) is dead
                assert answer.status_code == (503 if away else 200), answer.text
            ready = await look.get("/readyz?verbose")
            assert ready.status_code == 200
            for check in ("bus", "room_log"):
                assert f"shard 127.0.0.1:{dead.port} down" in ready.json()["checks"][check]["reason"]
            metrics = (await look.get("/metrics")).text
            assert f'tidewire_bus_shard_up{{shard="127.0.0.1:{dead.port}"}} 0.0' in metrics
            assert metrics.count("tidewire_bus_shard_up{") == 3
            assert "tidewire_room_log_shards_down 1.0" in metrics
            await one.accounts.change_user("bob", disabled=True)
            assert await bob.close_code() == 4511
