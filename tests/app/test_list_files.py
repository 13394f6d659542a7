"""Lists as files: exactly what all pages of the list show, harmless, bounded, audited, and only for who may look."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from tests.app.test_rooms_api import problem
from tests.support.platform import Served, served
from tests.support.waiting import eventually, until
from tidewire.core.protocol import data_body
from tidewire.hub.census import ConnectionRow
from tidewire.hub.room_list import RoomRow
from tidewire.monitoring import list_files

ADMIN = "/api/v1/admin"
EVIL = "=HYPERLINK(1)"
# Of connections, what changes between two looks.
UNSTEADY = {"last_activity", "messages_in_per_second", "messages_out_per_second", "round_trip_ms", "messages_out"}


async def all_pages(http: httpx2.AsyncClient, path: str, key: str, query: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of every page of a list."""
    found, cursor = list[dict[str, Any]](), ""
    while cursor is not None:
        answer = (await http.get(f"{ADMIN}/{path}", params={**query, "limit": 2, "cursor": cursor})).json()
        found += answer[key]
        cursor = answer["cursor"]
    return found


async def lines(http: httpx2.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return the rows of a file of lines of JSON."""
    answer = await http.get(f"{ADMIN}/{path}/export", params={**query, "format": "ndjson"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert "attachment" in answer.headers["content-disposition"]
    return [json.loads(line) for line in answer.text.splitlines()]


async def cells(http: httpx2.AsyncClient, path: str, **query: Any) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    answer = await http.get(f"{ADMIN}/{path}/export", params={**query, "format": "csv"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    head, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t"))]
    return [dict(zip(head, row, strict=True)) for row in rows]


def steady(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what changes by itself."""
    return {name: value for name, value in row.items() if name not in UNSTEADY}


async def noted(site: Served, action: str, count: int) -> list[tuple[Any, ...]]:
    """Wait for that many lines in the log, and return outcome, form and rows of each, oldest first."""
    sql = text("SELECT details FROM admin_activity_logs WHERE action = :action ORDER BY id")

    async def written() -> list[dict[str, Any]]:
        async with site.web.storage.requests.read() as session:
            return [json.loads(row[0]) for row in await session.execute(sql, {"action": action})]

    found = await eventually(written, lambda rows: len(rows) >= count)
    return [(line["outcome"], line["format"], line.get("rows")) for line in found]


async def crowd(stack: AsyncExitStack, site: Served) -> list[str]:
    """Connect five clients of bob and two of mod, one of them with a formula for a name; return their ids."""
    ids = list[str]()
    for number, who in enumerate(["bob"] * 5 + ["mod"] * 2):
        client = await stack.enter_async_context(site.raw(who, User_Agent=EVIL if number == 3 else f"desk/{number}"))
        ids.append((await client.expect("connection", status="connected"))["connection_id"])
        client.say("subscribe", id=1, room_id="app:desk" if number % 2 else "app:even")
        await client.expect("reply", id=1, ok=True)
    return ids


async def test_files_of_connections_are_what_all_pages_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each filter and order: the rows of all pages, each once, in their order, in both forms; walked in parts."""
    monkeypatch.setattr(list_files, "PAGE_MAX", 2)
    monkeypatch.setattr(list_files, "PART_ROWS", 3)
    async with asyncio.timeout(60), served(tmp_path) as site, site.http("ada") as http, AsyncExitStack() as stack:
        ids = await crowd(stack, site)
        for query in (
            {},
            {"user": "bob", "sort": "user_agent", "descending": True},
            {"room": "app:desk", "sort": "username"},
            {"text": "DESK/", "sort": "rooms"},
            {"ip": "127.0.0.1", "sort": "connected_at"},
            {"slow": True},
            {"text": "' OR 1=1 --"},
        ):
            shown = await all_pages(http, "connections", "connections", query)
            taken = await lines(http, "connections", **query)
            assert [steady(row) for row in taken] == [steady(row) for row in shown]
            rows = await cells(http, "connections", **query)
            assert [row["connection_id"] for row in rows] == [row["connection_id"] for row in shown]
        assert len(await lines(http, "connections")) == len(ids) == 7
        (evil,) = [row for row in await cells(http, "connections") if "HYPERLINK" in row["user_agent"]]
        assert tuple(evil) == ConnectionRow.__struct_fields__
        assert (evil["user_agent"], evil["username"], evil["ip"]) == (f"'{EVIL}", "bob", "127.0.0.1")
        assert json.loads(evil["rooms"]) == ["user:2", "app:desk"]
        masked = await lines(http, "connections", mask_addresses="true")
        assert {row["ip"] for row in masked} == {"127.0.0.0/24"}


async def test_files_of_the_closed_and_of_rooms_are_what_the_lists_show(tmp_path: Path) -> None:
    """All that the search finds, not only a page of it; more rooms than one answer of a node has."""
    async with asyncio.timeout(60), served(tmp_path) as site, site.http("ada") as http:
        async with AsyncExitStack() as stack:
            ids = await crowd(stack, site)
            for number in range(230):
                await site.side.hub.post(f"app:old-{number:03}", data_body(b"1"))
            for query in ({}, {"prefix": "app:", "sort": "members", "descending": True}, {"text": "OLD-1"}):
                shown = await all_pages(http, "rooms", "rooms", {**query})
                taken = await lines(http, "rooms", **query)
                rate = "messages_per_second"
                assert [row["room_id"] for row in taken] == [row["room_id"] for row in shown]
                for row in (*taken, *shown):
                    row.pop(rate)
                    for each in row["nodes"]:
                        each.pop(rate)
                assert taken == shown
            rows = await cells(http, "rooms", prefix="app:", sort="members", descending=True)
            assert [(row["room_id"], row["members"]) for row in rows[:2]] == [("app:even", "4"), ("app:desk", "3")]
            assert (len(rows), tuple(rows[0])) == (232, RoomRow.__struct_fields__)
        await until(lambda: len(site.side.hub.recently_closed()) == 7)
        shown = (await http.get(f"{ADMIN}/connections/closed", params={"limit": 200})).json()["closed"]
        assert await lines(http, "connections/closed") == shown
        assert sorted(row["connection_id"] for row in shown) == sorted(ids)
        assert [row["username"] for row in await cells(http, "connections/closed", text="MOD")] == ["mod", "mod"]
        (evil,) = await cells(http, "connections/closed", text="hyperlink", mask_addresses=True)
        assert (evil["user_agent"], evil["ip"]) == (f"'{EVIL}", "127.0.0.0/24")
        assert await noted(site, "closed.export", 6) == [
            ("requested", "ndjson", None), ("done", "ndjson", 7), ("requested", "csv", None), ("done", "csv", 2),
            ("requested", "csv", None), ("done", "csv", 1),
        ]  # fmt: skip


@pytest.mark.parametrize(("path", "action"), [("connections", "connection"), ("rooms", "room")])
async def test_beyond_the_bound_there_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, action: str
) -> None:
    """One row more than a file may have: refused with both numbers, in the log; one row less: a file."""
    async with asyncio.timeout(60), served(tmp_path) as site, site.http("ada") as http, AsyncExitStack() as stack:
        await crowd(stack, site)
        rows = len(await lines(http, path))
        monkeypatch.setattr(list_files, "ROWS_MAX", rows - 1)
        refused = await http.get(f"{ADMIN}/{path}/export", params={"format": "csv"})
        problem(refused, 413, "too_many_rows")
        assert f"show {rows} " in refused.json()["detail"]
        assert f"at most {rows - 1}." in refused.json()["detail"]
        monkeypatch.setattr(list_files, "ROWS_MAX", rows)
        assert len(await lines(http, path)) == rows
        outcomes = [outcome for outcome, _, _ in await noted(site, f"{action}.export", 6)]
        assert outcomes == ["requested", "done", "requested", "failed", "requested", "done"]


@pytest.mark.parametrize("path", ["connections", "connections/closed", "rooms"])
async def test_who_may_not_and_what_is_wrong_is_said(tmp_path: Path, path: str) -> None:
    """Nobody without the role gets a row; unknown forms and sorts are refused, and so is a text of any length."""
    async with served(tmp_path) as site, site.http("mod") as mod, site.http() as nobody, site.http("ada") as http:
        problem(await mod.get(f"{ADMIN}/{path}/export", params={"format": "csv"}), 403, "permission_denied")
        problem(await nobody.get(f"{ADMIN}/{path}/export", params={"format": "csv"}), 401, "unauthorized")
        for bad in ({"format": "xml"}, {}, {"format": "csv", "text": "x" * 201}):
            answer = await http.get(f"{ADMIN}/{path}/export", params=bad)
            assert answer.status_code == 422
            assert answer.json()["required_action"]
        if path != "connections/closed":
            bad = {"format": "csv", "sort": "1; DROP TABLE users"}
            assert (await http.get(f"{ADMIN}/{path}/export", params=bad)).status_code == 422


async def test_a_server_may_forbid_all_files_and_mask_all_addresses(tmp_path: Path) -> None:
    """Forbidden: each is refused with a way out, and that it was asked is in the log. Masked: whoever asks."""
    async with served(tmp_path, export=False) as site, site.http("ada") as http:
        for path in ("connections", "connections/closed", "rooms", "activity"):
            problem(await http.get(f"{ADMIN}/{path}/export", params={"format": "csv"}), 403, "export_forbidden")
        for action in ("connection", "closed", "room", "activity"):
            assert await noted(site, f"{action}.export", 1) == [("refused", "csv", None)]
        assert (await http.get(f"{ADMIN}/activity")).json()["may_export"] is False
    (tmp_path / "masked").mkdir()
    async with served(tmp_path / "masked", export_mask_addresses=True) as site, site.http("ada") as http:
        async with site.raw("bob") as client:
            await client.expect("connection", status="connected")
            assert {row["ip"] for row in await lines(http, "connections")} == {"127.0.0.0/24"}
        assert "127.0.0.1" not in json.dumps(await lines(http, "activity", action="user"))
