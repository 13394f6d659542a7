"""Two whole processes on one database and one broker: publish, history, presence, revocation and health are one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.test_rooms_api import make_key
from tests.support.platform import Served, served, settings_for
from tests.support.valkey import ValkeyProcess, valkey
from tidewire.app.platform import Platform
from tidewire.core.errors import SettingsError

__all__ = ["valkey"]
ROOM = "app:desk"


@contextlib.asynccontextmanager
async def both(folder: Path, url: str) -> AsyncIterator[tuple[Served, Served]]:
    """Yield two processes; the second uses the first one's database and its logins."""
    async with served(folder, redis_url=url, node_name="one") as one:
        platform = Platform(settings_for(folder, redis_url=url, node_name="two"), with_feed=False)
        await platform.start()
        try:
            yield one, Served(platform, one.cookies)
        finally:
            await platform.stop()


async def test_a_publish_on_one_is_heard_remembered_and_counted_on_the_other(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """HTTP publish on one process: a socket of the other has it, and history and presence are the same on both."""
    async with asyncio.timeout(45), both(tmp_path, valkey.url) as (one, two):
        key = await make_key(one)
        bearer = {"Authorization": f"Bearer {key.key}", "Idempotency-Key": "order-1"}
        async with two.raw("bob") as bob:
            await bob.expect("connection", status="connected")
            bob.say("subscribe", id=1, room_id=ROOM)
            await bob.expect("reply", id=1, ok=True)
            body = {"room_id": ROOM, "data": {"text": "hello"}}
            answers = []
            for site in (one, two, one):
                async with site.http(**bearer) as http:
                    answers.append((await http.post("/api/v1/publish", json=body)).json())
            assert [(answer["epoch"], answer["offset"]) for answer in answers] == [(answers[0]["epoch"], 1)] * 3
            assert (await bob.expect("room_message"))["data"] == {"text": "hello"}
            for site in (one, two):
                async with site.http("ada") as http:
                    history = (await http.get(f"/api/v1/rooms/{ROOM}/history")).json()
                    assert [message["data"] for message in history["messages"]] == [{"text": "hello"}]
                    assert history["offset"] == 1
                    present = (await http.get(f"/api/v1/rooms/{ROOM}/presence")).json()
                    assert [member["username"] for member in present["members"]] == ["bob"]


async def test_a_change_on_one_process_is_applied_on_the_other(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Permission taken: out of the room; logged out: 4512; disabled: 4511. Without waiting for the review."""
    async with asyncio.timeout(45), both(tmp_path, valkey.url) as (one, two):
        for job in two.side._jobs:
            await job.stop()
        async with two.raw("bob") as bob, two.raw("mod") as mod:
            for client in (bob, mod):
                await client.expect("connection", status="connected")
                client.say("subscribe", id=1, room_id="market:AAPL")
                await client.expect("reply", id=1, ok=True)
            await one.accounts.change_user("bob", denials=frozenset({"market:view"}))
            assert (await bob.expect("unsubscribed"))["reason"] == "permission_revoked"
            await one.accounts.log_out(one.cookies["mod"])
            assert await mod.close_code() == 4512
            await one.accounts.change_user("bob", disabled=True)
            assert await bob.close_code() == 4511


async def test_with_the_broker_away_a_revocation_still_arrives(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """The regular review finds it in the database; meanwhile nothing is delivered that came after it."""
    async with asyncio.timeout(40), both(tmp_path, valkey.url) as (one, two), two.raw("bob") as bob:
        await bob.expect("connection", status="connected")
        valkey.kill()
        await bob.expect("connection", status="degraded")
        await one.accounts.change_user("bob", disabled=True)
        assert await bob.close_code() == 4511


async def test_health_and_metrics_say_how_the_room_log_is(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """The circuit: closed and ready, then open and not ready, with the reason for insiders."""
    async with asyncio.timeout(40), served(tmp_path, redis_url=valkey.url) as site, site.http() as http:
        ready = await http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["room_log"]) == (200, {"ok": True})
        assert "tidewire_room_log_circuit_closed 1.0" in (await http.get("/metrics")).text
        async with site.raw("bob") as bob:
            await bob.expect("connection", status="connected")
            valkey.freeze()
            await bob.expect("connection", status="degraded")
            # The bus may notice first; the log then finds out with its own next question.
            answer = (await http.get("/readyz?verbose")).json()
            while answer["checks"]["room_log"]["ok"]:
                answer = (await http.get("/readyz?verbose")).json()
            assert answer["status"] != "ok"
            assert "circuit" in answer["checks"]["room_log"]["reason"]
            assert "tidewire_room_log_circuit_closed 0.0" in (await http.get("/metrics")).text
            valkey.thaw()
            await bob.expect("connection", status="restored")


async def test_a_broker_that_evicts_ends_the_start(tmp_path: Path) -> None:
    """Three sentences, and nothing keeps running."""
    with ValkeyProcess(maxmemory_policy="allkeys-lru") as server:
        with pytest.raises(SettingsError) as refusal:
            async with served(tmp_path, redis_url=server.url):
                pass
        assert "maxmemory-policy" in refusal.value.message
        assert "noeviction" in refusal.value.required_action
