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
from tests.support.platform import Served, served
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import until
from tests.support.ws_client import RawClient

__all__ = ["valkey"]
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
async def reading(site: Served, connection_id: str, seconds: float = 60.0) -> AsyncIterator[Reader]:
    """Trace a connection as ada does."""
    async with (
        site.http("ada") as http,
        http.stream("GET", f"{LIST}/{connection_id}/trace", params={"seconds": seconds}) as answer,
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
    while True:
        rows = await trail(site)
        if len(rows) >= count:
            return rows[-1]
        # The log is a table: no event tells of a row.
        await asyncio.sleep(0.02)


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
