"""The figures of several whole processes over real Valkey: each node's own, the total, and who does not tell."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from tests.app.test_two_processes import both
from tests.support.accounts import SECRET
from tests.support.command import Service
from tests.support.frozen import frozen
from tests.support.platform import Served, read_until, served
from tests.support.served import settings as environment_of
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import eventually, until
from tests.support.ws_client import RawClient, upgraded
from tidewire.core.clock import SystemClock

__all__ = ["valkey"]
START = json.dumps({"type": "start_monitoring", "config": {"interval_s": 1, "groups": ["hub", "process"]}})


async def shown(socket: websockets.ClientConnection, **holds: Any) -> dict[str, Any]:
    """Return the first system_metrics whose members are these."""
    while True:
        message = await read_until(socket, "system_metrics")
        if all(message[name] == value for name, value in holds.items()):
            return message


def figure(message: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a figure without labels; its values by node."""
    (found,) = [each for group in message["groups"].values() for each in group if each["name"] == name]
    nodes = [node["node"] for node in message["nodes"]]
    return {**found, "values": dict(zip(nodes, found["values"], strict=True))}


async def on_metrics_page(site: Served, name: str) -> float:
    """Return what a node's own /metrics says."""
    async with site.http("ada") as client:
        found = re.search(rf"^{name} (\S+)$", (await client.get("/metrics")).text, re.MULTILINE)
    assert found is not None
    return float(found[1])


async def test_nodes_stand_side_by_side_and_add_up(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Two and three connections are five; two and two users, one on both, are three; values are those of /metrics."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        async with one.socket("ada") as ada, one.socket("bob"), two.socket("bob"), two.socket("mod"), two.socket("mod"):
            await until(lambda: two.side.hub.connection_count() == 3 and one.side.hub.connection_count() == 2)
            await ada.send(START)
            while True:
                message = await shown(ada, complete=True)
                connections = figure(message, "tidewire_hub_connections")
                users = figure(message, "tidewire_hub_users")
                if (connections["total"], users["total"]) == (5, 3):
                    break
            assert connections["values"] == {"one": 2.0, "two": 3.0}
            assert users["values"] == {"one": 2.0, "two": 2.0}
            for site in (one, two):
                value = connections["values"][site.side.nodes.name]
                assert value == await on_metrics_page(site, "tidewire_hub_connections")
            health = next(each for each in (await one.web.vitals.checks.health()).checks if each.name == "nodes")
            assert (health.status, sorted(health.reason.split(", "))) == ("ok", ["one", "two"])


@pytest.mark.long
async def test_who_is_on_two_nodes_counts_once_until_a_node_dies(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Users, logins and rooms of two processes as counted by hand, on every page; after SIGKILL those of one."""
    async with asyncio.timeout(120), served(tmp_path, redis_url=valkey.url, node_name="one") as one:
        values = environment_of(
            tmp_path, TIDEWIRE_REDIS_URL=valkey.url, TIDEWIRE_SECRET_KEY=SECRET, TIDEWIRE_NODE_NAME="two"
        )
        with Service("serve", "--no-feed", values=values, cwd=tmp_path) as two:
            url = await asyncio.to_thread(lambda: str(two.logged("serving")["url"]))
            port = int(url.rpartition(":")[2])

            def on_two(who: str) -> contextlib.AbstractAsyncContextManager[RawClient]:
                return upgraded(port, Cookie=one.headers(who)["Cookie"], Origin=url)

            async with one.raw("bob") as here, on_two("bob") as there, on_two("mod") as mod, one.socket("ada") as ada:
                await one.log_in("bob")
                async with on_two("bob") as again:
                    rooms = {"admin:system_monitoring:1", "user:1", "user:2", "user:3"}
                    for client, room in (
                        *((here, "app:desk"), (there, "app:desk"), (mod, "market:AAPL"), (here, "market:AAPL")),
                        *((again, "app:mine"), (here, "app:left")),
                    ):
                        client.say("subscribe", id=room, room_id=room)
                        await client.expect("reply", id=room, ok=True)
                        rooms.add(room)
                    await ada.send(START)
                    await totals(ada, users=3, logins=4, rooms=len(rooms))
                    async with one.http("ada") as http:
                        assert await on_dashboard(one, http) == [3.0, 4.0, len(rooms)]
                        await ada.send(PERFORMANCE)
                        metrics = (await read_until(ada, "performance_metrics"))["metrics"]
                        assert [metrics[f"tidewire_hub_{kind}"]["total"]["value"] for kind in KINDS[:2]] == [3.0, 4.0]
                        listed = (await http.get("/api/v1/admin/rooms", params={"limit": 200})).json()
                        assert {row["room_id"] for row in listed["rooms"]} == rooms | {"admin:performance:1"}
                    two.kill()
                    left = {"admin:system_monitoring:1", "admin:performance:1", "user:1", "user:2", "app:desk",
                            "market:AAPL", "app:left"}  # fmt: skip
                    await totals(ada, users=2, logins=2, rooms=len(left))


KINDS = ("users", "logins", "rooms")
PERFORMANCE = json.dumps({"type": "start_performance", "metrics": ["tidewire_hub_users", "tidewire_hub_logins"]})


async def totals(socket: websockets.ClientConnection, **wanted: int) -> None:
    """Return when these are the totals; what is on several nodes is in the sums more than once."""
    while True:
        message = await read_until(socket, "system_metrics")
        found = [figure(message, f"tidewire_hub_{kind}") for kind in KINDS]
        assert {each["total_by"] for each in found} == {"once"}
        if [each["total"] for each in found] == [float(wanted[kind]) for kind in KINDS]:
            return


async def on_dashboard(site: Served, http: httpx2.AsyncClient) -> list[float | None]:
    """Return the newest totals as a dashboard shows them."""
    site.web.vitals.sampler.record()
    body = {"figures": [{"metric": f"tidewire_hub_{kind}", "total": "sum"} for kind in KINDS], "range_s": 60}
    series = (await http.post("/api/v1/admin/figures", json=body)).json()["series"]
    return [each["values"][-1] for each in series]


async def test_a_frozen_node_is_named_and_its_figures_are_not_shown_as_new(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """SIGSTOP: the message lacks it and says so, with the reason; SIGCONT: it is back, and the total with it."""
    async with asyncio.timeout(120), served(tmp_path, redis_url=valkey.url, node_name="one") as one:
        values = environment_of(
            tmp_path, TIDEWIRE_REDIS_URL=valkey.url, TIDEWIRE_SECRET_KEY=SECRET, TIDEWIRE_NODE_NAME="two"
        )
        with Service("serve", "--no-feed", values=values, cwd=tmp_path) as two:
            await asyncio.to_thread(lambda: two.logged("serving"))
            await until(lambda: one.side.nodes.statistics()["living"] == 2)
            async with one.socket("ada") as ada, one.http("ada") as http:
                await ada.send(START)
                message = await shown(ada, complete=True)
                assert set(figure(message, "process_resident_memory_bytes")["values"]) == {"one", "two"}
                with frozen(two.process.pid, tmp_path / "tidewire.db"):
                    message = await shown(ada, complete=False)
                    assert [node["node"] for node in message["nodes"]] == ["one"]
                    assert [(each["node"], each["why"]) for each in message["silent"]] == [("two", "no_answer")]
                    answer = (await http.get("/api/v1/admin/analytics/system-health", timeout=30)).json()
                    (nodes,) = [each for each in answer["checks"] if each["name"] == "nodes"]
                    assert (nodes["status"], "two (" in nodes["reason"]) == ("degraded", True)
                    history = (
                        await http.get(
                            "/api/v1/admin/analytics/history", params={"name": "tidewire_hub_connections"}, timeout=30
                        )
                    ).json()
                    assert (history["complete"], [node["node"] for node in history["nodes"]]) == (False, ["one"])
                message = await shown(ada, complete=True)
                assert {node["node"] for node in message["nodes"]} == {"one", "two"}


class LaterClock(SystemClock):
    """The machine's clock, a minute ahead."""

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return super().monotonic() + 60.0


async def test_a_node_whose_monitor_stands_still_is_shown_as_stale(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """A collector that breaks on another node: its last figures with their age and why, not complete, and degraded."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        sampler = two.web.vitals.sampler
        sampler.record()

        class Broken:
            def collect(self) -> list[object]:
                raise OSError("the disk of figures is gone")

        assert two.web.registry is not None
        two.web.registry.register(Broken())  # type: ignore[arg-type]
        # A minute later, as far as this sampler can tell.
        sampler._clock = LaterClock()
        async with one.socket("ada") as ada:
            await ada.send(START)
            message = await shown(ada, complete=False)
            (stale,) = [node for node in message["nodes"] if node["stale"]]
            assert (stale["node"], stale["age_s"] > 50) == ("two", True)
            assert "the disk of figures is gone" in stale["trouble"]
        health = {each.name: each for each in (await one.web.vitals.checks.health()).checks}
        assert (health["nodes"].status, health["monitor"].status) == ("degraded", "ok")
        assert "the disk of figures is gone" in health["nodes"].reason
        own = {each.name: each for each in (await two.web.vitals.checks.health()).checks}
        assert own["monitor"].status == "failed"


async def test_without_the_broker_a_node_says_that_it_hears_nobody(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Its own figures go on; that the others are not there is said, and why."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, _), one.socket("ada") as ada:
        await ada.send(START)
        await shown(ada, complete=True)
        valkey.kill()
        message = await shown(ada, complete=False)
        while not message["cut_off"]:
            message = await shown(ada, complete=False)
        assert [node["node"] for node in message["nodes"]] == ["one"]
        assert figure(message, "tidewire_hub_connections")["values"] == {"one": 1.0}

        async def nodes() -> str:
            found = (await one.web.vitals.checks.health()).checks
            return next(each.status for each in found if each.name == "nodes")

        await eventually(nodes, lambda status: status == "failed")
