"""A live trace over HTTP: lines as they come, no secret, ended with reader, right or process, and audited."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.app.test_admin_connections import LIST, manager
from tests.app.test_rooms_api import problem
from tests.app.test_two_processes import both
from tests.support.hub_server import principal
from tests.support.platform import Served, served
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import eventually, until
from tests.support.ws_client import RawClient
from tidewire.accounts.bans import Wish
from tidewire.accounts.model import Role

__all__ = ["valkey"]
TRACES = "/api/v1/admin/traces"
STREAM = f"{TRACES}/stream"
SECRET = "a-token-that-nobody-may-see"


class Reader:
    """Reads lines as they come."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()

    async def until(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """Return the next line of that type with those members."""
        while True:
            line: dict[str, Any] = json.loads(await anext(self._lines))
            if line["type"] == kind and all(line.get(name) == value for name, value in wanted.items()):
                return line


@contextlib.asynccontextmanager
async def reading(site: Served, connection_id: str = "", seconds: float = 60.0, **other: str) -> AsyncIterator[Reader]:
    """Trace a connection as ada does, or what ``other`` says."""
    path = STREAM if other else f"{LIST}/{connection_id}/trace"
    async with (
        site.http("ada") as http,
        http.stream("GET", path, params={"seconds": seconds, **other}) as answer,
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
        yield Reader(answer)


async def connected(client: RawClient) -> str:
    """Return a client's connection id."""
    return str((await client.expect("connection", status="connected"))["connection_id"])


async def trail(site: Served) -> list[dict[str, Any]]:
    """Return what the activity log says of traces, oldest first."""
    rows = await site.accounts.activity.recent(action="connection.trace")
    return [{"actor": row.entry.actor, "target": row.entry.target, **dict(row.entry.details)} for row in reversed(rows)]


async def ended(site: Served, count: int = 2) -> dict[str, Any]:
    """Wait for the log's line on the end; return it."""
    return (await eventually(lambda: trail(site), lambda rows: len(rows) >= count, ceiling_s=60))[-1]


async def test_a_connection_of_another_node_is_traced_without_its_secrets(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """Both directions, as raw text; a token in none of them; the end is told to reader and log, and the tap is off."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await manager(one)
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        async with two.raw("bob") as bob:
            mine = await connected(bob)
            async with reading(one, mine, seconds=300.0) as reader:
                began = await reader.until("trace_started")
                assert (began["connection_id"], began["username"], began["node"]) == (mine, "bob", "two")
                bob.say("ping", id=7)
                frame = await reader.until("frame", direction="in")
                assert json.loads(frame["text"]) == {"type": "ping", "id": 7}
                while json.loads((await reader.until("frame", direction="out"))["text"]).get("id") != 7:
                    pass
                bob.say("auth_refresh", id=8, token=SECRET)
                hidden = await reader.until("frame", direction="in")
                assert SECRET not in hidden["text"]
                assert (hidden["redacted"], json.loads(hidden["text"])["token"]) == (True, "<hidden>")
                session = two.side.hub.session(mine)
                assert session is not None
                assert session.tap is not None
                await one.side.everywhere.disconnect(mine)
                over = await reader.until("trace_ended")
            assert over["reason"] == "connection_ended"
            assert over["frames"] >= 5
            assert session.tap is None
        last = await ended(one)
        assert (last["actor"], last["target"], last["reason"]) == ("ada", mine, "connection_ended")
        assert SECRET not in json.dumps(await trail(one))


async def test_a_trace_ends_when_its_reader_leaves(site: Served) -> None:
    """The answer broken off by the reader: the tap is off, and the log says so."""
    await manager(site)
    async with asyncio.timeout(30), site.raw("bob") as bob:
        mine = await connected(bob)
        session = site.side.hub.session(mine)
        assert session is not None
        async with reading(site, mine) as reader:
            await reader.until("trace_started")
            async with site.http("ada") as http:
                problem(await http.get(f"{LIST}/{mine}/trace"), 503, "trace_busy")
        await until(lambda: session.tap is None)
        assert (await ended(site, 3))["reason"] == "left"
        bob.say("ping", id=9)
        await bob.expect("reply", id=9, ok=True)


async def test_who_loses_the_permission_gets_not_one_frame_more(site: Served) -> None:
    """Taken while the trace runs: it ends with the reason, and what came meanwhile is not in it."""
    await manager(site)
    async with asyncio.timeout(30), site.raw("bob") as bob:
        mine = await connected(bob)
        async with reading(site, mine) as reader:
            await reader.until("trace_started")
            await site.accounts.change_user("ada", grants=frozenset())
            assert (await reader.until("trace_ended"))["reason"] == "revoked"
        assert (await ended(site))["reason"] == "revoked"


async def test_a_process_that_is_stopped_ends_its_traces_first(tmp_path: Path) -> None:
    """A trace of five minutes does not keep a process from ending: it is told, and the end comes at once."""
    async with asyncio.timeout(30):
        async with served(tmp_path) as site, site.raw("bob") as bob:
            await manager(site)
            async with reading(site, await connected(bob), seconds=300.0) as reader:
                await reader.until("trace_started")
                stopping = asyncio.create_task(site.platform.stop())
                assert (await reader.until("trace_ended"))["reason"] in ("stopping", "connection_ended")
            await stopping


@pytest.mark.parametrize("seconds", ["0", "301", "nan", "1e9", "x"])
async def test_who_may_trace_and_for_how_long(site: Served, seconds: str) -> None:
    """Admins who manage users, from one second to five minutes; what is refused taps nothing."""
    async with asyncio.timeout(30), site.raw("bob") as bob:
        path = f"{LIST}/{await connected(bob)}/trace"
        for username, status in ((None, 401), ("bob", 403), ("mod", 403), ("ada", 403)):
            async with site.http(username) as http:
                assert (await http.get(path)).status_code == status
        await manager(site)
        async with site.http("ada") as http:
            assert (await http.get(path, params={"seconds": seconds})).status_code == 422
            problem(await http.get(f"{LIST}/c-never/trace"), 404, "not_found")
        assert [line["target"] for line in await trail(site)] == ["c-never"]


async def test_a_user_is_traced_on_every_node_and_when_they_come_again(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Frames of both nodes' connections, each with its id; one that opens later too; a stranger's in none of them."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await manager(one)
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        async with two.raw("bob") as there, one.raw("bob") as here, two.raw("mod") as stranger:
            known = {await connected(there), await connected(here)}
            await connected(stranger)
            async with reading(one, user="bob", seconds=300.0) as reader:
                began = await reader.until("trace_started")
                assert (began["kind"], began["name"], began["connections"], began["by"]) == ("user", "bob", 2, "ada")
                async with one.http("ada") as http:
                    answer = (await http.get(TRACES)).json()
                assert [(each["kind"], each["name"], each["by"]) for each in answer["traces"]] == [("user", "2", "ada")]
                assert answer["complete"]
                stranger.say("ping", id=1)
                for client in (there, here):
                    client.say("ping", id=7)
                seen = [await reader.until("frame", direction="in") for _ in range(2)]
                assert {line["connection_id"] for line in seen} == known
                async with two.raw("bob") as again:
                    third = await connected(again)
                    tapped = two.side.hub.session(third)
                    assert tapped is not None
                    await until(lambda: tapped.tap is not None)
                    again.say("ping", id=8)
                    assert (await reader.until("frame", direction="in"))["connection_id"] == third
            sessions = [side.hub.session(each) for side in (one.side, two.side) for each in known]
            await until(lambda: all(each.tap is None for each in sessions if each is not None))
        rows = await one.accounts.activity.recent(action="user.trace")
        assert {row.entry.target for row in rows} == {"bob"}


async def test_a_rooms_messages_are_traced_once_each_whoever_publishes_where(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """A room with members on both nodes: each message once, without a sequence; a second trace of it is refused."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await manager(one)
        await until(lambda: one.side.nodes.statistics()["living"] == 2)
        async with one.http("ada") as http, two.raw("ada") as there, two.raw("mod") as other, one.raw("ada") as here:
            problem(await http.get(STREAM, params={"room": "app:desk"}), 404, "not_found")
            for client in (there, other, here):
                await connected(client)
                client.say("subscribe", id=1, room_id="app:desk")
                await client.expect("reply", id=1, ok=True)
            async with reading(one, room="app:desk", seconds=300.0) as reader:
                began = await reader.until("trace_started")
                assert (began["kind"], began["connections"], began["node"]) == ("room", 3, "two")
                problem(await http.get(STREAM, params={"room": "app:desk"}), 503, "trace_busy")
                for number, client in enumerate((here, there, here)):
                    client.say("publish", id=2, room_id="app:desk", data=number)
                    await client.expect("reply", id=2, ok=True)
                shown = [json.loads((await reader.until("frame"))["text"]) for _ in range(3)]
                assert [(each["data"], each["offset"]) for each in shown] == [(0, 1), (1, 2), (2, 3)]
                assert "sequence" not in shown[0]
                room = two.side.hub.room_itself("app:desk")
                assert room is not None
                assert room.tap is not None
            await until(lambda: room.tap is None)


async def test_a_symbol_is_traced_by_its_room(site: Served) -> None:
    """``market:AAPL``: the tick that members get is the line that the trace has."""
    await manager(site)
    async with asyncio.timeout(30), site.raw("bob") as bob:
        await connected(bob)
        bob.say("subscribe", id=1, room_id="market:AAPL")
        await bob.expect("reply", id=1, ok=True)
        async with reading(site, room="market:AAPL") as reader:
            await reader.until("trace_started")
            site.tick("AAPL", 187.5)
            tick = json.loads((await reader.until("frame"))["text"])
            got = await bob.expect("tick")
            assert {**tick, "sequence": got["sequence"]} == got


async def test_who_may_not_see_a_premium_sees_none_in_a_trace(site: Served) -> None:
    """The frames of somebody who may: for a reader who may not, what stands under a premium is hidden and says so."""
    await site.accounts.change_user("ada", grants=frozenset({"users:manage"}), denials=frozenset({"premium:view"}))
    await site.log_in("ada")
    async with asyncio.timeout(30), site.raw("mod") as mod:
        mine = await connected(mod)
        async with reading(site, mine) as reader:
            await reader.until("trace_started")
            data = {"premium": {"total": 123456}, "rows": [{"field": "premium_total", "value": 123456}], "x": 1}
            mod.say("publish", id=1, room_id="public:x", data=data)
            line = await reader.until("frame", direction="in")
            assert "123456" not in line["text"]
            assert line["redacted"]
            assert json.loads(line["text"])["data"]["x"] == 1


async def test_a_banned_reader_gets_not_one_frame_more(site: Served) -> None:
    """The trace ends with the ban of whoever reads it."""
    await manager(site)
    root = await site.accounts.create_user("root", "four unrelated words", "super")
    async with asyncio.timeout(30), site.raw("bob") as bob:
        mine = await connected(bob)
        async with reading(site, mine) as reader:
            await reader.until("trace_started")
            wish = Wish(users=["ada"], addresses=[], reason="left the company", seconds=None)
            by = principal(root.id, Role.SUPER)
            await site.side.operators.banishment.spread(await site.side.bans.impose(wish, by, ""))
            assert (await reader.until("trace_ended"))["reason"] == "revoked"


async def test_what_can_be_no_trace_is_refused_by_name(site: Served) -> None:
    """Both, neither, nobody, no room, a family that is not: three sentences each, and nothing is listened to."""
    await manager(site)
    refused: list[tuple[dict[str, str], int, str]] = [
        ({}, 400, "bad_request"),
        ({"user": "bob", "room": "app:x"}, 400, "bad_request"),
        ({"user": "nobody"}, 404, "not_found"),
        ({"user": "' OR 1=1 --"}, 404, "not_found"),
        ({"room": "no room"}, 400, "bad_request"),
        ({"room": "elsewhere:x"}, 400, "bad_request"),
    ]
    async with site.http("ada") as http, site.http("bob") as bob:
        assert (await bob.get(TRACES)).status_code == 403
        assert (await bob.get(STREAM, params={"user": "bob"})).status_code == 403
        for parameters, status, code in refused:
            problem(await http.get(STREAM, params=parameters), status, code)
        assert (await http.get(TRACES)).json()["traces"] == []
