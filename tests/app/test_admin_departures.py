"""The recently closed and closing many over HTTP: who may, what is refused, what the activity log says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.app.test_admin_connections import LIST, REASON, manager
from tests.app.test_rooms_api import problem
from tests.support.platform import Served
from tests.support.waiting import until

MANY = f"{LIST}/disconnect"


async def trail(site: Served) -> list[dict[str, Any]]:
    """Return what the activity log says, oldest first."""
    rows = await site.accounts.activity.recent(action="connection.disconnect_many")
    return [{"actor": row.entry.actor, "target": row.entry.target, **dict(row.entry.details)} for row in reversed(rows)]


async def test_many_are_closed_audited_and_then_in_the_list_of_the_closed(site: Served) -> None:
    """Two of three are closed with 4503 in one request; the log has ids, reason and outcome; the third stays."""
    await manager(site)
    async with site.raw("bob") as bob, site.raw("mod") as mod, site.raw("bob") as other, site.http("ada") as http:
        ids = [(await each.expect("connection", status="connected"))["connection_id"] for each in (bob, mod, other)]
        body = {**REASON, "count": 3, "connection_ids": [ids[0], ids[1], "c-gone"]}
        answer = (await http.post(MANY, json=body)).json()
        assert [(each["connection_id"], each["username"]) for each in answer["closed"]] == [
            (ids[0], "bob"), (ids[1], "mod"),
        ]  # fmt: skip
        assert (answer["missing"], answer["complete"], answer["close_code"]) == (["c-gone"], True, 4503)
        assert [await bob.close_code(), await mod.close_code()] == [4503, 4503]
        await until(lambda: site.side.hub.connection_count() == 1)
        gone = (await http.get(f"{LIST}/closed", params={"text": "FORCE_"})).json()
        assert {(row["connection_id"], row["close_code"], row["reason"]) for row in gone["closed"]} == {
            (each, 4503, "force_disconnect") for each in ids[:2]
        }
        assert (gone["matching"], gone["remembered"], gone["complete"]) == (2, 2, True)
        page = (await http.get(LIST, params={"text": "Bob", "keep": f"{ids[2]},{ids[0]}"})).json()
        assert ([row["connection_id"] for row in page["connections"]], page["kept"]) == ([ids[2]], [])
        kept = (await http.get(LIST, params={"text": "nobody", "keep": f"{ids[2]},{ids[0]}"})).json()
        assert ([row["connection_id"] for row in kept["kept"]], kept["connections"]) == ([ids[2]], [])
        said = {"actor": "ada", "target": "3 connections", "reason": REASON["reason"]}
        assert await trail(site) == [
            {**said, "outcome": "requested", "connection_ids": body["connection_ids"]},
            {**said, "outcome": "done", "closed": 2, "users": ["bob", "mod"], "missing": ["c-gone"], "silent": []},
        ]


async def test_who_may_close_many_and_what_is_refused(site: Served) -> None:
    """An admin looks; closing needs users:manage, our own page, and a number that is right; refused closes nothing."""
    async with site.raw("bob") as bob:
        mine = (await bob.expect("connection", status="connected"))["connection_id"]
        good = {**REASON, "count": 1, "connection_ids": [mine]}
        for username, look, close in ((None, 401, 401), ("bob", 403, 403), ("mod", 403, 403), ("ada", 200, 403)):
            async with site.http(username) as http:
                assert (await http.get(f"{LIST}/closed")).status_code == look
                assert (await http.post(MANY, json=good, headers={"Origin": site.origin})).status_code == close
        await manager(site)
        async with site.http("ada") as ada:
            problem(await ada.post(MANY, json=good, headers={"Origin": "https://evil.example"}), 403, "origin_refused")
            wrong: list[Any] = [
                {}, [], {**good, "count": 2}, {**good, "count": 0}, {**good, "reason": ""}, {**good, "all": True},
                {**good, "connection_ids": []}, {**good, "connection_ids": ["x"] * 201, "count": 1},
                {**good, "connection_ids": [mine, 7], "count": 2}, {**good, "connection_ids": [mine, ""], "count": 2},
            ]  # fmt: skip
            for body in wrong:
                problem(await ada.post(MANY, json=body), 400, "bad_request")
        assert await trail(site) == []
        bob.say("ping", id=9)
        await bob.expect("reply", id=9, ok=True)


@pytest.mark.parametrize("sort", ["ip", "user_agent"])
async def test_a_text_order_takes_no_number_for_a_cursor(site: Served, sort: str) -> None:
    """A cursor of another order is refused; the order's own goes on."""
    async with site.raw("bob"), site.raw("mod"), site.http("ada") as http:
        first = (await http.get(LIST, params={"sort": "connected_at", "limit": 1})).json()
        problem(await http.get(LIST, params={"sort": sort, "cursor": first["cursor"]}), 400, "bad_request")
        mine = (await http.get(LIST, params={"sort": sort, "limit": 1})).json()
        rest = (await http.get(LIST, params={"sort": sort, "limit": 1, "cursor": mine["cursor"]})).json()
        assert rest["connections"][0]["connection_id"] != mine["connections"][0]["connection_id"]
