"""Draining a node by hand: its clients move to the other node, nobody new comes in, and it can be taken back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2

from tests.app.test_admin_connections import manager
from tests.app.test_rooms_api import problem
from tests.app.test_two_processes import both
from tests.support.platform import Served
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import eventually, until

__all__ = ["valkey"]
NODES = "/api/v1/admin/nodes"


async def states(http: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    """Return how the nodes stand, by name."""
    answer = (await http.get(f"{NODES}/states")).json()
    assert answer["complete"], answer
    return {node["node"]: node for node in answer["nodes"]}


async def test_a_node_is_drained_from_another_and_taken_back(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Its client is told, closed 4000 and welcome at the other; /readyz and handshakes say 503; then all as before."""
    async with asyncio.timeout(90), both(tmp_path, valkey.url) as (one, two):
        await manager(one)
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        async with one.http("ada") as ada, two.http() as program, two.raw("bob") as bob, one.raw("mod") as mod:
            for client in (bob, mod):
                await client.expect("connection", status="connected")
            before = await states(ada)
            assert [(name, node["connections"], node["accepting"]) for name, node in before.items()] == [
                ("one", 1, True), ("two", 1, True),
            ]  # fmt: skip
            path = f"{NODES}/{before['two']['instance']}"
            good = {"confirm": "two", "reason": "new kernel"}
            problem(await ada.post(f"{path}/drain", json={**good, "confirm": "one"}), 400, "confirmation_required")
            told = (await ada.post(f"{path}/drain", json=good)).json()
            assert (told["outcome"], told["state"]["drained_by"], told["state"]["accepting"]) == ("done", "ada", False)
            await bob.expect("connection", status="draining")
            assert await bob.close_code() == 4000
            assert (await program.get("/readyz")).status_code == 503
            async with one.raw("bob") as moved:
                await moved.expect("connection", status="connected")
            drained = await eventually(lambda: states(ada), lambda found: not found["two"]["moving"])
            assert (drained["two"]["connections"], drained["two"]["accepting"]) == (0, False)
            assert (await ada.post(f"{path}/drain", json=good)).json()["outcome"] == "already"
            # Pages and API go on there; the last one is not drained unasked.
            async with two.http("ada") as there:
                last = f"{NODES}/{before['one']['instance']}/drain"
                problem(await there.post(last, json={**good, "confirm": "one"}), 409, "last_node")
            mod.say("ping", id=1)
            await mod.expect("reply", id=1, ok=True)
            assert (await ada.post(f"{path}/accept")).json()["outcome"] == "done"
            assert (await program.get("/readyz")).status_code == 200
            async with two.raw("bob") as back:
                await back.expect("connection", status="connected")
            rows = await one.accounts.activity.recent(action="node.drain")
            assert [row.entry.details["outcome"] for row in rows][::-1] == ["requested", "done", "requested", "already"]
            assert rows[0].entry.target == f"two ({before['two']['instance']})"


async def test_who_may_drain_and_what_is_refused(site: Served) -> None:
    """An admin looks, draining needs users:manage; a wrong body, an unknown node and the last one change nothing."""
    for username, look, change in ((None, 401, 401), ("bob", 403, 403), ("mod", 403, 403), ("ada", 200, 403)):
        async with site.http(username) as http:
            own = {"Origin": site.origin}
            assert (await http.get(f"{NODES}/states")).status_code == look
            assert (await http.post(f"{NODES}/x/drain", json={}, headers=own)).status_code == change
            assert (await http.post(f"{NODES}/x/accept", headers=own)).status_code == change
    await manager(site)
    async with site.http("ada") as ada, site.raw("bob") as bob:
        await bob.expect("connection", status="connected")
        (mine,) = (await states(ada)).values()
        path = f"{NODES}/{mine['instance']}"
        good = {"confirm": mine["node"], "reason": "new kernel"}
        for body in ({}, [], {**good, "reason": ""}, {**good, "now": True}, {"confirm": mine["node"]}):
            problem(await ada.post(f"{path}/drain", json=body), 400, "bad_request")
        problem(await ada.post(f"{NODES}/no-such/drain", json=good), 404, "not_found")
        problem(await ada.post(f"{path}/drain", json=good), 409, "last_node")
        assert (await ada.post(f"{path}/accept")).json()["outcome"] == "already"
        assert site.side.hub.accepting
        assert (await ada.post(f"{path}/drain", json={**good, "even_last": True})).json()["outcome"] == "done"
        problem(await ada.post(f"{path}/accept"), 409, "node_moving")
        assert await bob.close_code() == 4000
