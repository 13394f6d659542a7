"""Connections and rooms as an operator sees and closes them: asked on one node, held by another, over real Valkey."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.app.test_rooms_api import problem
from tests.app.test_two_processes import both
from tests.support.accounts import SECRET
from tests.support.command import Service
from tests.support.frozen import frozen
from tests.support.platform import Served, served
from tests.support.served import settings as environment_of
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import eventually, until
from tests.support.ws_client import upgraded
from tidewire.core.protocol import data_body

__all__ = ["valkey"]
LIST = "/api/v1/admin/connections"
REASON = {"reason": "asked by its owner"}


async def manager(site: Served) -> None:
    """Let ada close connections; an admin only looks, unless somebody grants it."""
    await site.accounts.change_user("ada", grants=frozenset({"users:manage"}))
    await site.log_in("ada")


async def trail(site: Served) -> list[dict[str, Any]]:
    """Return what the activity log says of closed connections, oldest first."""
    rows = await site.accounts.activity.recent(action="connection.disconnect")
    return [{"actor": row.entry.actor, "target": row.entry.target, **dict(row.entry.details)} for row in reversed(rows)]


async def test_a_connection_is_listed_and_closed_from_another_node(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """One list, one row, one room over two nodes; closed by the node that holds it, audited, then unknown to all."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await manager(one)
        async with two.raw("bob", User_Agent="desk/4.2") as bob, one.raw("mod") as mod, one.http("ada") as http:
            mine = (await bob.expect("connection", status="connected"))["connection_id"]
            await mod.expect("connection", status="connected")
            for client in (bob, mod):
                client.say("subscribe", id=1, room_id="app:desk")
                await client.expect("reply", id=1, ok=True)

            everything = (await http.get(LIST, params={"sort": "username", "limit": 1})).json()
            assert (everything["matching"], everything["complete"], everything["silent"]) == (2, True, [])
            assert [(row["username"], row["node"]) for row in everything["connections"]] == [("bob", "two")]
            rest = (await http.get(LIST, params={"sort": "username", "cursor": everything["cursor"]})).json()
            assert [(row["username"], row["node"]) for row in rest["connections"]] == [("mod", "one")]
            (row,) = (await http.get(LIST, params={"user": "bob", "room": "app:desk", "node": "two"})).json()[
                "connections"
            ]
            assert (row["connection_id"], row["ip"], row["user_agent"]) == (mine, "127.0.0.1", "desk/4.2")
            assert row["rooms"] == ["user:2", "app:desk"]

            (room,) = (await http.get("/api/v1/admin/rooms", params={"prefix": "app:"})).json()["rooms"]
            assert (room["room_id"], room["members"], room["present"], room["agreed"]) == ("app:desk", 2, 2, True)
            assert sorted((each["node"], each["members"]) for each in room["nodes"]) == [("one", 1), ("two", 1)]
            for list_ in (LIST, "/api/v1/admin/rooms"):
                assert [each["node"] for each in (await http.get(list_, params={"node": "two"})).json()["nodes"]] == [
                    "two"
                ]
                for path, form in ((list_, {}), (f"{list_}/export", {"format": "csv"})):
                    problem(await http.get(path, params={"node": "three", **form}), 404, "not_found")
            names = (await http.get("/api/v1/admin/nodes")).json()["nodes"]
            assert sorted((each["node"], each["reach"]["room_log"]["circuit"]) for each in names) == [
                ("one", "closed"), ("two", "closed"),
            ]  # fmt: skip

            assert (await http.get(f"{LIST}/{mine}")).json()["node"] == "two"
            done = await http.post(f"{LIST}/{mine}/disconnect", json=REASON)
            assert (done.status_code, done.json()["node"], done.json()["username"]) == (200, "two", "bob")
            assert await bob.close_code() == 4503
            problem(await http.post(f"{LIST}/c-unknown/disconnect", json=REASON), 404, "not_found")
            problem(await http.get(f"{LIST}/c-unknown"), 404, "not_found")
            said = {"actor": "ada", "reason": REASON["reason"]}
            assert [{name: line[name] for name in (*said, "target", "outcome")} for line in await trail(two)] == [
                {**said, "target": mine, "outcome": "requested"},
                {**said, "target": mine, "outcome": "done"},
                {**said, "target": "c-unknown", "outcome": "requested"},
                {**said, "target": "c-unknown", "outcome": "not_found"},
            ]


async def test_a_frozen_node_is_named_and_its_connection_not_called_closed(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """A real process stopped by SIGSTOP: the list names it, the kick says that it does not know; later it does."""
    async with asyncio.timeout(120), served(tmp_path, redis_url=valkey.url, node_name="one") as one:
        await manager(one)
        values = environment_of(
            tmp_path, TIDEWIRE_REDIS_URL=valkey.url, TIDEWIRE_SECRET_KEY=SECRET, TIDEWIRE_NODE_NAME="two"
        )
        with Service("serve", "--no-feed", values=values, cwd=tmp_path) as two:
            url = await asyncio.to_thread(lambda: str(two.logged("serving")["url"]))
            headers = {"Cookie": one.headers("bob")["Cookie"], "Origin": url}
            async with upgraded(int(url.rpartition(":")[2]), **headers) as bob, one.http("ada") as http:
                held = (await bob.expect("connection", status="connected"))["connection_id"]
                await answered(http, complete=True, matching=1)
                with frozen(two.process.pid, tmp_path / "tidewire.db"):
                    missing = (await http.get(LIST)).json()
                    assert (missing["complete"], missing["connections"]) == (False, [])
                    assert [(each["node"], each["why"]) for each in missing["silent"]] == [("two", "no_answer")]
                    file = (await http.get(f"{LIST}/export", params={"format": "ndjson"})).text.splitlines()
                    assert json.loads(file[-1])["error"].startswith("This file is not whole: no answer from two (")
                    refused = await http.post(f"{LIST}/{held}/disconnect", json=REASON)
                    problem(refused, 503, "nodes_silent")
                    assert "two" in refused.json()["detail"]
                    problem(await http.get(f"{LIST}/{held}"), 503, "nodes_silent")
                # What it was asked while it stood still it does when it goes on, or it is asked again; never silently.
                await answered(http, complete=True)
                again = await http.post(f"{LIST}/{held}/disconnect", json=REASON)
                assert again.status_code in (200, 404)
                assert await bob.close_code() == 4503
        assert [line["outcome"] for line in await trail(one)][:2] == ["requested", "unknown"]


async def test_one_message_to_many_rooms_of_all_nodes(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """By prefix: each shared room once, with its place, on whichever node its members are; rooms of ticks by each."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        async with two.raw("bob") as bob, one.raw("mod") as mod:
            for client, room in ((bob, "app:x1"), (mod, "app:x2"), (bob, "market:AAPL"), (mod, "market:MSFT")):
                client.say("subscribe", id=1, room_id=room)
                await client.expect("reply", id=1, ok=True)
            sent = await one.side.everywhere.publish_prefix("app:x", data_body(b'"all"'), kind="room_message")
            assert (sent.reached, sent.silent, sent.cut_off) == (2, [], "")
            for client, room in ((bob, "app:x1"), (mod, "app:x2")):
                message = await client.expect("room_message")
                assert (message["room_id"], message["offset"], message["data"]) == (room, 1, "all")
            with pytest.raises(RuntimeError, match="shared"):
                one.side.hub.publish_prefix("app:x", data_body(b"1"))
            sent = await one.side.everywhere.publish_prefix("market:", data_body(b'"halt"'), kind="notice", key="halt")
            assert sent.reached == 2
            for client, room in ((bob, "market:AAPL"), (mod, "market:MSFT")):
                assert (await client.expect("notice"))["room_id"] == room


async def answered(http: httpx2.AsyncClient, **wanted: object) -> None:
    """Ask until the list is so."""
    await eventually(
        lambda: http.get(LIST),
        lambda page: all(page.json()[name] == value for name, value in wanted.items()),
        ceiling_s=60,
    )


async def test_without_the_broker_a_node_says_what_it_does_not_know(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Its own connections are listed and closed; about others it says that it is cut off, never that there are none."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, _):
        await manager(one)
        async with one.raw("bob") as bob, one.http("ada") as http:
            mine = (await bob.expect("connection", status="connected"))["connection_id"]
            await answered(http, complete=True)
            valkey.kill()
            await bob.expect("connection", status="degraded")
            page = (await http.get(LIST)).json()
            assert (page["complete"], [row["connection_id"] for row in page["connections"]]) == (False, [mine])
            assert page["cut_off"].startswith("the bus is down: ")
            assert [each["node"] for each in page["silent"]] == ["two"]
            problem(await http.post(f"{LIST}/c-elsewhere/disconnect", json=REASON), 503, "nodes_silent")
            assert (await http.post(f"{LIST}/{mine}/disconnect", json=REASON)).status_code == 200
            assert await bob.close_code() == 4503


async def test_a_single_process_answers_by_the_same_code(site: Served) -> None:
    """No Redis: the list is complete with one node, the kick works, and an unknown connection is known to be none."""
    await manager(site)
    async with site.raw("bob") as bob, site.http("ada") as http:
        mine = (await bob.expect("connection", status="connected"))["connection_id"]
        page = (await http.get(LIST)).json()
        assert (page["complete"], page["cut_off"], len(page["nodes"])) == (True, "", 1)
        assert [row["connection_id"] for row in page["connections"]] == [mine]
        (node,) = (await http.get("/api/v1/admin/nodes")).json()["nodes"]
        assert (node["reach"]["bus"]["kind"], "room_log" in node["reach"]) == ("memory", False)
        assert (await http.post(f"{LIST}/{mine}/disconnect", json=REASON)).json()["close_code"] == 4503
        assert await bob.close_code() == 4503
        await until(lambda: not site.side.hub.connection_count())
        problem(await http.get(f"{LIST}/{mine}"), 404, "not_found")


async def test_who_may_look_and_who_may_close(site: Served) -> None:
    """Lists are for admins; closing needs users:manage, our own page and a reason; what is refused closes nothing."""
    async with site.raw("bob") as bob:
        mine = (await bob.expect("connection", status="connected"))["connection_id"]
        kick = f"{LIST}/{mine}/disconnect"
        for path in (LIST, f"{LIST}/{mine}", "/api/v1/admin/rooms", "/api/v1/admin/nodes"):
            for username, status in ((None, 401), ("bob", 403), ("mod", 403), ("ada", 200)):
                async with site.http(username) as http:
                    assert (await http.get(path)).status_code == status
        async with site.http() as stranger, site.http("mod") as mod, site.http("ada") as ada:
            problem(await stranger.post(kick, json=REASON), 401, "unauthorized")
            problem(await mod.post(kick, json=REASON), 403, "permission_denied")
            problem(await ada.post(kick, json=REASON), 403, "permission_denied")
        await manager(site)
        async with site.http("ada") as ada:
            foreign = await ada.post(kick, json=REASON, headers={"Origin": "https://evil.example"})
            problem(foreign, 403, "origin_refused")
            for body in ({}, {"reason": ""}, {"reason": 7}, {"reason": "x" * 501}, {"reason": "x", "why": 1}, []):
                problem(await ada.post(kick, json=body), 400, "bad_request")
        assert await trail(site) == []
        bob.say("ping", id=9)
        await bob.expect("reply", id=9, ok=True)


@pytest.mark.parametrize("cursor", ["x", "bnVsbA==", "WyJhIiwiYiJd", "é", "WzEsMl0="])
async def test_a_cursor_of_nothing_is_refused(site: Served, cursor: str) -> None:
    """Noise, another type, another order's value: an error that says what to send."""
    async with site.http("ada") as http:
        problem(await http.get(LIST, params={"cursor": cursor}), 400, "bad_request")
