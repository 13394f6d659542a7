"""The activity log as operators read it: live over the socket on two nodes, in pages, as a file; over real Valkey."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.app.test_rooms_api import problem
from tests.app.test_two_processes import both
from tests.support.platform import Served, served
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import eventually, until
from tests.support.ws_client import RawClient
from tidewire.accounts.service import Accounts
from tidewire.monitoring.activity_export import COLUMNS
from tidewire.store.database import Database
from tidewire.store.records import ActivityEntry

__all__ = ["valkey"]
LOG = "/api/v1/admin/activity"
ROOM = "admin:user_activity:1"


async def watching(client: RawClient, **filters: Any) -> dict[str, Any]:
    """Begin to watch; return the page."""
    await client.expect("connection", status="connected")
    return await asked(client, **filters)


async def asked(client: RawClient, **filters: Any) -> dict[str, Any]:
    """Send start_user_activity; return the page."""
    client.say("start_user_activity", id="w", filters=filters)
    page = await client.expect("user_activity", event="page")
    await client.expect("reply", id="w", ok=True)
    return page


async def by_sql(site: Served, where: str = "1 = 1", **values: Any) -> list[dict[str, Any]]:
    """Return rows of the table, newest first, read by hand."""
    query = f"SELECT * FROM admin_activity_logs WHERE {where} ORDER BY at DESC, id DESC"  # noqa: S608
    async with site.web.storage.requests.read() as session:
        return [dict(row) for row in (await session.execute(text(query), values)).mappings()]


async def write(site: Served, action: str, **more: Any) -> None:
    """Write a row as the platform does."""
    entry = ActivityEntry(at=site.web._clock.time(), actor="test", action=action, **more)
    await site.accounts.activity.write(entry)


async def new_rows(client: RawClient, count: int) -> list[dict[str, Any]]:
    """Read until that many new rows have come; return all that came."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        found += (await client.expect("user_activity", event="rows"))["rows"]
    return found


async def test_the_newest_page_then_each_new_row_once_on_both_nodes(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Rows of this node, of the other, and of a program beside them: each comes to each watcher exactly once."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        for n in range(60):
            await write(one, "test.before", target=str(n))
        async with one.raw("ada") as here, two.raw("ada") as there:
            pages = [await watching(client) for client in (here, there)]
            right = [row["id"] for row in (await by_sql(one))[:50]]
            for page in pages:
                assert [row["id"] for row in page["rows"]] == right
                assert (page["room_id"], "offset" in page) == (ROOM, False)
            for n in range(40):
                await write((one, two)[n % 2], "test.new", target=str(n))
            aside = Database(f"sqlite:///{tmp_path}/tidewire.db")
            await Accounts(aside, secret_key="x" * 40).change_user("mod", role="user")
            await aside.stop()
            wanted = sorted(row["id"] for row in await by_sql(one) if row["id"] > max(right))
            assert len(wanted) == 41
            for client in (here, there):
                assert sorted(row["id"] for row in await new_rows(client, 41)) == wanted
            # Nothing comes twice: the next row is the next message.
            await write(one, "test.last")
            for client in (here, there):
                (last,) = (await client.expect("user_activity"))["rows"]
                assert (last["action"], last["actor"]) == ("test.last", "test")


async def test_a_row_of_the_page_does_not_come_again(tmp_path: Path) -> None:
    """Written by another program before the page is read, found by the next look: new to one watcher, not to both."""
    async with asyncio.timeout(30), served(tmp_path) as site, site.raw("ada") as first, site.raw("ada") as second:
        watch = site.side.people.watch
        await watching(first)
        await watch.rounds.loop.stop()
        aside = Database(f"sqlite:///{tmp_path}/tidewire.db")
        await Accounts(aside, secret_key="x" * 40).change_user("mod", role="user")
        await aside.stop()
        page = await watching(second)
        assert page["rows"][0]["action"] == "user.change"
        await watch.step()
        assert [row["id"] for row in await new_rows(first, 1)] == [page["rows"][0]["id"]]
        await write(site, "test.last")
        assert [row["action"] for row in await new_rows(second, 1)] == ["test.last"]


async def test_a_row_of_the_socket_is_what_stands_in_the_table(tmp_path: Path) -> None:
    """Every member compared with SQL, for rows of a page and for new ones."""
    async with asyncio.timeout(30), served(tmp_path) as site, site.raw("ada") as client:
        page = await watching(client)
        await write(site, "test.new", actor_id=2, target="bob", ip="10.0.0.1", details={"reason": "ümläut", "n": [1]})
        (fresh,) = await new_rows(client, 1)
        truth = await by_sql(site)
        for row, right in zip([fresh, *page["rows"]], truth, strict=True):
            for name in ("id", "actor", "actor_id", "action", "target", "ip"):
                assert row[name] == right[name]
            assert row["details"] == json.loads(right["details"])
        async with site.http("ada") as http:
            assert (await http.get(LOG)).json()["activity"] == [fresh, *page["rows"]]


async def test_filters_are_applied_by_the_server_live_too(tmp_path: Path) -> None:
    """Only what fits is sent; another filter begins anew with its page; stop ends it."""
    async with asyncio.timeout(30), served(tmp_path) as site, site.raw("ada") as client:
        page = await watching(client, action="test", text="GOLD")
        assert page["rows"] == []
        for target in ("silver", "gold 1", "lead", "Gold 2"):
            await write(site, "test.new", target=target)
        assert [row["target"] for row in await new_rows(client, 2)] == ["gold 1", "Gold 2"]
        page = await asked(client, target="lead")
        assert [row["target"] for row in page["rows"]] == ["lead"]
        await write(site, "test.new", target="gold 3")
        await write(site, "test.new", target="lead")
        (row,) = await new_rows(client, 1)
        assert row["target"] == "lead"
        client.say("stop_user_activity", id=7)
        assert (await client.expect("unsubscribed", room_id=ROOM))["reason"] == "stopped"
        await client.expect("reply", id=7, ok=True)
        await until(lambda: site.side.people.watch.statistics()["watchers"] == 0)


@pytest.mark.parametrize(
    "filters",
    [
        {"who": "x" * 201},
        {"action": "user' OR '1'='1"},
        {"since": 1e300},
        {"since": "2026-01-01"},
        {"unknown": "x"},
        {"who": 7},
        {"text": ["a"]},
        "all",
    ],
)
async def test_bad_filters_are_named_errors_on_the_socket(tmp_path: Path, filters: Any) -> None:
    """Absurd, unknown and mistyped filters get an error with three sentences; nothing is sent, nobody watches."""
    async with asyncio.timeout(30), served(tmp_path) as site, site.raw("ada") as client:
        await client.expect("connection", status="connected")
        client.say("start_user_activity", id=1, filters=filters)
        reply = await client.expect("reply", id=1, ok=False)
        assert reply["error"]["code"] in ("invalid_filter", "bad_request")
        assert all(reply["error"][name] for name in ("message", "required_action", "will_not"))
        assert site.side.people.watch.statistics()["watchers"] == 0


@pytest.mark.parametrize(
    "query",
    [
        {"who": "x" * 201},
        {"text": "x" * 1_001},
        {"action": "' OR 1=1 --"},
        {"since": "1e309"},
        {"since": "5", "until": "4"},
        {"limit": "0"},
        {"limit": "1000000000"},
        {"cursor": "eyJhIjoxfQ=="},
        {"cursor": "' OR 1=1"},
    ],
)
async def test_bad_filters_are_named_errors_over_http(tmp_path: Path, query: dict[str, str]) -> None:
    """The same over HTTP, with the document of RFC 9457."""
    async with served(tmp_path) as site, site.http("ada") as http:
        answer = await http.get(LOG, params=query)
        assert answer.status_code in (400, 422)
        assert all(answer.json()[name] for name in ("detail", "required_action", "will_not"))


async def test_pages_are_what_sql_says(tmp_path: Path) -> None:
    """All pages of a filter together, each row once, and the actions, against the table."""
    async with served(tmp_path) as site, site.http("ada") as http:
        for n in range(130):
            await write(site, f"test.kind_{n % 3}", target=f"t{n % 2}", ip="10.0.0.1")
        found, cursor = list[int](), ""
        while cursor is not None:
            query = {"action": "test.kind_1", "target": "t0", "limit": 7, "cursor": cursor}
            answer = (await http.get(LOG, params=query)).json()
            found += [row["id"] for row in answer["activity"]]
            cursor = answer["cursor"]
        right = await by_sql(site, "action = 'test.kind_1' AND target = 't0'")
        assert found == [row["id"] for row in right]
        assert len(found) > 14
        actions = (await http.get(f"{LOG}/actions")).json()["actions"]
        assert actions == sorted({row["action"] for row in await by_sql(site)})


async def test_an_export_is_what_the_filters_show(tmp_path: Path) -> None:
    """CSV and NDJSON of more than one part against SQL; formulas are harmless; begin and end are in the log."""
    evil = '=HYPERLINK("http://x")'
    async with served(tmp_path) as site, site.http("ada") as http:
        for n in range(700):
            await write(site, "test.export", target=evil if n % 2 else 'a,"b"\r\nc', details={"n": n}, ip="10.1.2.3")
        await write(site, "test.other")
        right = await by_sql(site, "action = 'test.export'")
        query = {"action": "test.export", "since": "2001-01-01T00:00:00Z"}

        answer = await http.get(f"{LOG}/export", params={**query, "format": "csv"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "attachment" in answer.headers["content-disposition"]
        head, *lines = csv.reader(io.StringIO(answer.text, newline=""))
        assert tuple(head) == COLUMNS
        cells = [dict(zip(head, line, strict=True)) for line in lines]
        assert [int(row["id"]) for row in cells] == [row["id"] for row in right]
        assert {row["target"] for row in cells} == {f"'{evil}", 'a,"b"\r\nc'}
        assert [json.loads(row["details"]) for row in cells] == [json.loads(row["details"]) for row in right]
        assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@"))]

        answer = await http.get(f"{LOG}/export", params={**query, "format": "ndjson", "mask_addresses": "true"})
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert [row["id"] for row in rows] == [row["id"] for row in right]
        assert {row["ip"] for row in rows} == {"10.1.2.0/24"}
        assert {row["target"] for row in rows} == {evil, 'a,"b"\r\nc'}

        await until_noted(site, 4)
        noted = [json.loads(row["details"]) for row in reversed(await by_sql(site, "action = 'activity.export'"))]
        assert [(line["outcome"], line["format"], line.get("rows")) for line in noted] == [
            ("requested", "csv", None), ("done", "csv", 700), ("requested", "ndjson", None), ("done", "ndjson", 700),
        ]  # fmt: skip
        assert noted[0]["filters"] == query
        # All rows up to this moment: not those that the export itself writes.
        everything = [row["id"] for row in await by_sql(site)]
        answer = await http.get(f"{LOG}/export", params={"format": "ndjson"})
        assert [json.loads(line)["id"] for line in answer.text.splitlines()] == everything
        answer = await http.get(f"{LOG}/export", params={"format": "xml"})
        assert answer.status_code in (400, 422)


async def until_noted(site: Served, count: int) -> None:
    """Wait until that many lines on exports are written: the last one is written after the answer has ended."""
    await eventually(lambda: by_sql(site, "action = 'activity.export'"), lambda rows: len(rows) >= count)


async def test_a_server_may_forbid_exports_and_mask_addresses(tmp_path: Path) -> None:
    """Forbidden: refused, and that it was asked is in the log. Masked: nowhere is there a whole address."""
    settings = {"activity_export": False, "activity_mask_addresses": True}
    async with served(tmp_path, **settings) as site, site.http("ada") as http, site.raw("ada") as client:
        await write(site, "test.one", ip="203.0.113.77", details={"ip": "203.0.113.78"})
        problem(await http.get(f"{LOG}/export", params={"format": "csv"}), 403, "export_forbidden")
        (line,) = await by_sql(site, "action = 'activity.export'")
        assert json.loads(line["details"])["outcome"] == "refused"
        answer = await http.get(LOG)
        assert (answer.json()["masked"], answer.json()["may_export"]) == (True, False)
        page = await watching(client)
        for shown in (answer.text, json.dumps(page)):
            assert "203.0.113.7" not in shown
            assert "203.0.113.0/24" in shown
        problem(await http.get(LOG, params={"ip": "203.0.113.77"}), 400, "invalid_filter")


async def test_without_the_permission_nothing_is_shown(tmp_path: Path) -> None:
    """No page, no file, no room, neither by name nor by message; nobody enters another's room."""
    async with asyncio.timeout(30), served(tmp_path) as site, site.http("mod") as http, site.raw("mod") as client:
        for path in ("", "/actions", "/export?format=csv"):
            problem(await http.get(LOG + path), 403, "permission_denied")
        assert (await http.get("/admin/activity")).status_code == 403
        await client.expect("connection", status="connected")
        for message in ({"kind": "start_user_activity"}, {"kind": "subscribe", "room_id": "admin:user_activity:3"}):
            client.say(id=1, **message)
            reply = await client.expect("reply", id=1, ok=False)
            assert reply["error"]["code"] == "permission_denied"
        async with site.raw("ada") as ada:
            await ada.expect("connection", status="connected")
            ada.say("subscribe", id=1, room_id="admin:user_activity:3")
            assert (await ada.expect("reply", id=1, ok=False))["error"]["code"] == "permission_denied"
        async with site.http() as nobody:
            problem(await nobody.get(LOG), 401, "unauthorized")


async def test_whoever_loses_the_permission_while_watching_is_told_and_gets_nothing_more(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """Revoked on the other node: told at once, not one row after it, also not the row of the revocation."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two), two.raw("ada") as client:
        await watching(client)
        await one.accounts.change_user("ada", denials=frozenset({"audit:read"}))
        told = await client.expect("unsubscribed", room_id=ROOM)
        assert all(told[name] for name in ("reason", "message"))
        await write(two, "test.secret")
        await until(lambda: two.side.people.watch.statistics()["watchers"] == 0)
        client.say("ping", id=9)
        await client.expect("pong")
        assert [message for message in client.messages if message["type"] == "user_activity"] == []


async def test_a_log_that_cannot_be_read_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    """Said once to whoever watches, then that it can be read again; who begins meanwhile is refused with the reason."""
    async with asyncio.timeout(60), served(tmp_path) as site, site.raw("ada") as client, site.raw("ada") as late:
        await watching(client)
        await late.expect("connection", status="connected")
        database = site.web.storage.requests
        async with database.write() as session:
            await session.execute(text("ALTER TABLE admin_activity_logs RENAME TO hidden"))
        told = await client.expect("user_activity", event="interrupted")
        assert all(told["error"][name] for name in ("code", "message", "required_action", "will_not"))
        late.say("start_user_activity", id=1, filters={})
        assert (await late.expect("unsubscribed", room_id=ROOM))["reason"] == "state_unavailable"
        assert (await late.expect("reply", id=1, ok=False))["error"]["will_not"]
        async with database.write() as session:
            await session.execute(text("ALTER TABLE hidden RENAME TO admin_activity_logs"))
        assert (await client.expect("user_activity", event="rows"))["rows"] == []
        await write(site, "test.after")
        (row,) = await new_rows(client, 1)
        assert row["action"] == "test.after"
