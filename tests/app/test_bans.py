"""Bans over HTTP: every door is shut, nobody locks themselves out unasked, bad input is refused by name."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from sqlalchemy import text as sql
from sqlalchemy import update

from tests.app.test_admin_connections import manager
from tests.app.test_rooms_api import make_key, problem
from tests.app.test_two_processes import both
from tests.support.platform import PASSWORD, Served, served, settings_for
from tests.support.raw_viewer import RawViewer
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import eventually
from tests.support.ws_client import connect, upgrade_request
from tidewire.app.platform import Platform
from tidewire.core.errors import StoreError
from tidewire.store import models

__all__ = ["valkey"]
BANS = "/api/v1/admin/bans"
# What the doors believe, because the test's own address is that of a proxy.
VICTIM = {"X_Forwarded_For": "203.0.113.7"}
TOLD_UNTIL = re.compile(r"Your address is banned until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC: floods the desk\.")
VICTIM_HTTP = {"X-Forwarded-For": "203.0.113.7"}


NO_END = {"expires_at": None}


def ban_of(*, users: tuple[str, ...] = (), addresses: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """Return a body."""
    count = len(users) + len(addresses)
    return {
        "users": users, "addresses": addresses, "count": count, "reason": "floods the desk", "seconds": None, **more
    }  # fmt: skip


async def impose(http: httpx2.AsyncClient, **who: Any) -> dict[str, Any]:
    """Ban, and return the answer."""
    answer = await http.post(BANS, json=ban_of(**who))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert (body["complete"], body["silent"], body["close_code"]) == (True, [], 4503)
    return body


@pytest.fixture
async def behind(tmp_path: Path) -> AsyncIterator[Served]:
    """A process that believes what its proxy, which is this test, says about addresses."""
    async with served(tmp_path, trusted_proxies=("127.0.0.1",)) as made:
        await manager(made)
        yield made


async def handshake(site: Served, username: str | None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Return what a WebSocket handshake is answered: the status, and the document if it is refused."""
    async with connect(site.port) as client:
        client.send(upgrade_request(**{**site.headers(username), **headers}))
        reply = await client.answer()
        return reply.status, json.loads(reply.body) if reply.body else {}


async def test_a_banned_user_is_out_at_every_door_until_the_ban_is_lifted(site: Served) -> None:
    """Socket closed 4503, no new one by cookie, token or key, no page, API, login or token; all again once lifted."""
    await manager(site)
    key = (await site.side.keys.create("bob", "robot", life_s=3_600.0)).key
    bearer = {"Authorization": f"Bearer {key}"}
    async with site.http("ada") as ada, site.http("bob") as bob, site.http(**bearer) as robot, site.raw("bob") as tab:
        mine = (await tab.expect("connection", status="connected"))["connection_id"]
        token = (await bob.post("/api/v1/connection-token")).json()["token"]
        room = "/api/v1/rooms/app:x/history"
        assert (await robot.get(room)).status_code == 200
        made = await impose(ada, users=("BOB",))
        assert made["closed"] == 1
        assert await tab.close_code() == 4503
        told, closing = tab.messages[-2:]
        why = (told["type"], told["code"], told["message"], told["details"])
        assert why == ("error", "banned", "You are banned: floods the desk.", {"reason": "floods the desk"} | NO_END)
        assert "ada" not in json.dumps(told)
        assert (closing["status"], closing["reason"], closing["reconnect"]) == ("closing", "force_disconnect", "never")
        status, document = await handshake(site, None, Authorization=f"Bearer {key}")
        assert status == 101, document
        for each in (site.raw("bob"), site.raw(None, f"/ws?token={token}"), site.raw(None, **bearer)):
            async with each as again:
                assert await again.close_code() == 4503
                assert [message["type"] for message in again.messages] == ["error", "connection"]
                assert again.messages[0]["message"] == "You are banned: floods the desk."
        problem(await bob.post("/api/v1/connection-token"), 403, "banned")
        problem(await bob.get(room), 403, "banned")
        problem(await robot.get(room), 403, "banned")
        page = await bob.get("/quotes", headers={"Accept": "text/html"})
        assert (page.status_code, "floods the desk" in page.text) == (403, True)
        assert (await bob.get("/livez")).status_code == 200
        with pytest.raises(Exception, match="You are banned: floods the desk"):
            await site.accounts.log_in("bob", PASSWORD, ip="127.0.0.1")
        (failed,) = await site.accounts.activity.recent(action="user.login_failed")
        assert (failed.entry.actor, failed.entry.details) == ("bob", {"reason": "banned"})

        (shown,) = (await ada.get(BANS)).json()["bans"]
        assert (shown["username"], shown["state"], shown["created_by"]) == ("bob", "in_force", "ada")
        lifted = (await ada.post(f"{BANS}/{shown['id']}/lift")).json()
        assert (lifted["bans"][0]["state"], lifted["complete"]) == ("lifted", True)
        problem(await ada.post(f"{BANS}/{shown['id']}/lift"), 409, "ban_over")
        async with site.raw("bob") as again:
            assert (await again.expect("connection", status="connected"))["connection_id"] != mine
        assert (await bob.get(room)).status_code == 200
        await site.accounts.log_in("bob", PASSWORD, ip="127.0.0.1")
        log = await site.accounts.activity.recent()
        said = [(row.entry.action, row.entry.target, row.entry.actor) for row in log if row.entry.action[:4] == "ban."]
        assert said[::-1] == [
            (action, "bob", "ada") for action in ("ban.add", "ban.applied", "ban.lift", "ban.unapplied")
        ]


async def test_a_banned_address_is_refused_before_the_upgrade_and_everywhere(behind: Served) -> None:
    """403 and a document at /ws (both ways in), pages and Socket.IO; its sockets are closed; the proxy's stay open."""
    async with (
        behind.http("ada", **{"X-Forwarded-For": "198.51.100.1"}) as ada,
        behind.raw("bob", **VICTIM) as victim,
        behind.raw("bob", X_Forwarded_For="203.0.114.7") as neighbour,
    ):
        for each in (victim, neighbour):
            await each.expect("connection", status="connected")
        made = await impose(ada, addresses=("203.0.113.0/24",), seconds=3_600)
        assert made["closed"] == 1
        assert await victim.close_code() == 4503
        told = victim.messages[-2]
        assert TOLD_UNTIL.fullmatch(told["message"])
        until = told["details"].pop("until")
        assert f" until {until}: floods the desk." in told["message"]
        assert told["details"] == {"reason": "floods the desk", "expires_at": made["bans"][0]["expires_at"]}
        told["details"]["until"] = until
        status, document = await handshake(behind, "bob", **VICTIM)
        assert (status, document["status"]) == (403, 403)
        # The same three sentences at the door as on the socket, and not by whom.
        same = ("code", "required_action", "will_not", "details")
        assert [document[name] for name in ("detail", *same)] == [told[name] for name in ("message", *same)]
        assert "ada" not in json.dumps(document)
        # Two upgrade headers do not fit the short way in.
        status, _ = await handshake(behind, "bob", **VICTIM, Content_Length="0")
        assert status == 403
        status, _ = await handshake(behind, "bob", X_Forwarded_For="::ffff:203.0.113.9")
        assert status == 403
        status, _ = await handshake(behind, "bob", X_Forwarded_For="203.0.113.7, 198.51.100.2")
        assert status == 101
        async with behind.http("bob", **VICTIM_HTTP) as bob:
            problem(await bob.get("/api/v1/rooms/app:x/history"), 403, "banned")
            problem(await bob.post("/login", data={}), 403, "banned")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(
                f"ws://127.0.0.1:{behind.port}/socket.io/?EIO=4&transport=websocket",
                additional_headers={**behind.headers("ada"), **VICTIM_HTTP},
            )
        assert refused.value.response.status_code == 403
        neighbour.say("ping", id=1)
        await neighbour.expect("reply", id=1, ok=True)
        assert behind.side.gateway.refused[403] == 3


async def test_an_admin_socket_of_socket_io_is_ended_with_its_reason(behind: Served) -> None:
    """Another admin's open feed page is told and closed at once; it cannot join anew; everybody else's stays."""
    await behind.accounts.create_user("eve", PASSWORD, "admin")
    await behind.log_in("eve")
    url = f"ws://127.0.0.1:{behind.port}/socket.io/?EIO=4&transport=websocket"
    async with (
        behind.http("ada", **{"X-Forwarded-For": "198.51.100.1"}) as ada,
        websockets.connect(url, additional_headers=behind.headers("eve")) as socket,
        websockets.connect(url, additional_headers=behind.headers("ada")) as mine,
    ):
        eve, own = RawViewer(socket), RawViewer(mine)
        assert "message" not in await eve.join()
        assert "message" not in await own.join()
        assert (await impose(ada, users=("eve",)))["closed"] == 1
        told = await eve.event("error")
        assert (told["code"], told["message"]) == ("banned", "You are banned: floods the desk.")
        assert all(told[name] for name in ("required_action", "will_not"))
        await socket.wait_closed()
        with pytest.raises(websockets.InvalidStatus):
            await websockets.connect(url, additional_headers=behind.headers("eve"))
        assert (await own.ask("request_metrics"))["ok"]


async def test_the_operators_socket_is_told_why_too(site: Served) -> None:
    """/ws/admin-dashboard ends with the reason and the end of the ban before 4503, and so does the next attempt."""
    await manager(site)
    await site.accounts.create_user("eve", PASSWORD, "admin")
    await site.log_in("eve")
    async with site.http("ada") as ada, site.raw("eve", "/ws/admin-dashboard") as eve:
        await eve.expect("connection", status="connected")
        await impose(ada, users=("eve",), seconds=3_600)
        async with site.raw("eve", "/ws/admin-dashboard") as again:
            for each in (eve, again):
                assert await each.close_code() == 4503
                told = each.messages[-2]
                assert told["message"].startswith("You are banned until 20")
                assert told["message"].endswith("UTC: floods the desk.")


async def test_nobody_bans_themselves_unasked(behind: Served) -> None:
    """Own name or own network is refused with what it hits, until the words are typed; then it is done, by the book."""
    async with behind.http("ada", **VICTIM_HTTP) as ada:
        for who in ({"users": ("ada",)}, {"addresses": ("203.0.113.0/24",)}, {"addresses": ("::ffff:203.0.113.7",)}):
            answer = await ada.post(BANS, json=ban_of(**who))
            problem(answer, 409, "ban_hits_you")
            assert answer.json()["details"]["confirm"] == "ban myself"
            problem(await ada.post(BANS, json=ban_of(**who, confirm="yes")), 409, "ban_hits_you")
        assert (await ada.get(BANS)).json()["bans"] == []
        answer = await ada.post(BANS, json=ban_of(addresses=("203.0.113.0/24",), confirm="ban myself"))
        assert answer.status_code == 200
        problem(await ada.get(BANS), 403, "banned")


async def test_who_may_and_what_is_refused(site: Served) -> None:
    """An admin looks, banning needs users:manage; a body that is wrong in any way bans nobody and says why."""
    for username, look, change in ((None, 401, 401), ("bob", 403, 403), ("mod", 403, 403), ("ada", 200, 403)):
        async with site.http(username) as http:
            assert (await http.get(BANS)).status_code == look
            own = {"Origin": site.origin}
            assert (await http.post(BANS, json=ban_of(users=("bob",)), headers=own)).status_code == change
            assert (await http.post(f"{BANS}/1/lift", headers=own)).status_code == change
    await manager(site)
    await site.accounts.create_user("root", PASSWORD, "super")
    good = ban_of(users=("bob",))
    wrong: list[tuple[Any, int, str]] = [
        ({}, 400, "bad_request"), ([], 400, "bad_request"), ({**good, "count": 2}, 400, "count_differs"),
        ({**good, "count": 0}, 400, "count_differs"), ({**good, "reason": ""}, 400, "bad_request"),
        ({**good, "reason": " \t"}, 400, "reason_missing"), ({**good, "reason": "a\x00b"}, 400, "reason_missing"),
        ({**good, "seconds": 0}, 400, "bad_request"), ({**good, "seconds": -5}, 400, "bad_request"),
        ({**good, "seconds": 10**9}, 400, "bad_request"), ({**good, "seconds": "soon"}, 400, "bad_request"),
        ({key: value for key, value in good.items() if key != "seconds"}, 400, "bad_request"),
        ({**good, "everybody": True}, 400, "bad_request"), (ban_of(), 400, "bad_request"),
        (ban_of(users=("'; DROP TABLE users; --",)), 404, "unknown_user"),
        (ban_of(users=("bob", "nobody")), 404, "unknown_user"), (ban_of(users=("root",)), 403, "permission_denied"),
        (ban_of(addresses=("0.0.0.0/0",)), 400, "network_is_everybody"),
        (ban_of(users=("bob",), addresses=("10.0.0.1/33",)), 400, "prefix_too_long"),
        (ban_of(addresses=tuple(f"10.0.0.{n}" for n in range(201))), 400, "bad_request"),
    ]  # fmt: skip
    async with site.http("ada") as ada:
        for body, status, code in wrong:
            problem(await ada.post(BANS, json=body), status, code)
        assert (await ada.post(BANS, json={**good, "reason": "x" * 1_000_000})).status_code == 413
        problem(await ada.post(BANS, json=good, headers={"Origin": "https://evil.example"}), 403, "origin_refused")
        problem(await ada.get(BANS, params={"cursor": "x' OR 1=1"}), 400, "bad_request")
        for parameters in ({"state": "maybe"}, {"limit": 0}, {"limit": 10**9}, {"text": "x" * 201}):
            assert (await ada.get(BANS, params=parameters)).status_code in (400, 422)
        problem(await ada.post(f"{BANS}/77/lift"), 404, "not_found")
        answer = (await ada.get(BANS, params={"state": "all"})).json()
        assert (answer["bans"], answer["matching"], answer["in_force"]) == ([], 0, 0)
    assert await site.accounts.activity.recent(action="ban.add") == []


async def test_many_are_banned_together_and_listed_in_pages(site: Served) -> None:
    """Users and networks in one request, each with its own line; the list pages, searches and tells the states."""
    await manager(site)
    async with site.http("ada") as ada, site.raw("bob") as bob, site.raw("mod") as mod:
        for each in (bob, mod):
            await each.expect("connection", status="connected")
        made = await impose(ada, users=("bob", "mod"), addresses=("10.0.0.0/8", "2001:db8::/48"), seconds=60)
        assert made["closed"] == 2
        assert [await each.close_code() for each in (bob, mod)] == [4503, 4503]
        first = (await ada.get(BANS, params={"limit": 3})).json()
        rest = (await ada.get(BANS, params={"limit": 3, "cursor": first["cursor"]})).json()
        names = [each["username"] or each["network"] for each in first["bans"] + rest["bans"]]
        assert names == ["2001:db8::/48", "10.0.0.0/8", "mod", "bob"]
        assert (first["matching"], first["in_force"], rest["cursor"]) == (4, 4, None)
        assert all(each["expires_at"] == pytest.approx(each["created_at"] + 60) for each in first["bans"])
        found = (await ada.get(BANS, params={"text": "DESK 2001"})).json()
        assert [each["network"] for each in found["bans"]] == ["2001:db8::/48"]
        # However many a page asks for beside: one that is left out would pass for one that is no more.
        wanted = ",".join(str(number) for number in [*range(5_000, 5_300), first["bans"][-1]["id"]])
        beside = (await ada.get(BANS, params={"limit": 1, "keep": wanted})).json()
        assert [each["username"] for each in beside["kept"]] == ["mod"]
        rows = await site.accounts.activity.recent(action="ban.add")
        assert [row.entry.target for row in rows][::-1] == ["bob", "mod", "10.0.0.0/8", "2001:db8::/48"]


async def test_bans_survive_a_restart_and_a_node_that_cannot_read_them_does_not_start(tmp_path: Path) -> None:
    """Who was banned before is out after; with the table gone the start ends with an error that says so."""
    async with served(tmp_path) as site:
        await manager(site)
        async with site.http("ada") as ada:
            await impose(ada, users=("bob",))
        cookies = site.cookies
    again = Platform(settings_for(tmp_path), with_feed=False)
    await again.start()
    try:
        async with Served(again, cookies).raw("bob") as bob:
            assert await bob.close_code() == 4503
        assert again.web is not None
        async with again.web.storage.requests.write() as session:
            await session.execute(sql("DROP TABLE bans"))
    finally:
        await again.stop()
    blind = Platform(settings_for(tmp_path), with_feed=False)
    try:
        with pytest.raises(StoreError):
            await blind.start()
    finally:
        await blind.stop()


async def test_the_job_that_removes_old_rows_removes_old_bans(site: Served) -> None:
    """One that was over 91 days ago is gone after a round, one of 89 days is still listed; the audit has both."""
    await manager(site)
    web = site.platform.web
    assert web is not None
    async with site.http("ada") as ada:
        await impose(ada, addresses=("192.0.2.1", "192.0.2.2"), seconds=60)
        async with web.storage.requests.write() as session:
            for network, days in (("192.0.2.1/32", 91), ("192.0.2.2/32", 89)):
                over = datetime.now(UTC) - timedelta(days=days)
                moved = update(models.Ban).where(models.Ban.network == network).values(expires_at=over.timestamp())
                await session.execute(moved)
        await web._purge_old()
        left = (await ada.get(BANS, params={"state": "all"})).json()["bans"]
    assert [each["network"] for each in left] == ["192.0.2.2/32"]
    assert len(await site.accounts.activity.recent(action="ban.add")) == 2


async def test_a_ban_holds_on_the_other_node_when_it_is_acknowledged(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Over a real broker: the socket on the other node is closed, and what is published afterwards never comes."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await manager(one)
        key = await make_key(one)
        bearer = {"Authorization": f"Bearer {key.key}"}
        async with one.http("ada") as ada, one.http(**bearer) as robot, two.raw("bob") as bob, two.raw("mod") as mod:
            for each in (bob, mod):
                await each.expect("connection", status="connected")
                each.say("subscribe", id=1, room_id="public:desk")
                await each.expect("reply", id=1, ok=True)
            await eventually(lambda: _nodes(ada), lambda names: sorted(names) == ["one", "two"])
            made = await impose(ada, users=("bob",))
            assert made["closed"] == 1
            body = {"room_id": "public:desk", "data": "after"}
            assert (await robot.post("/api/v1/publish", json=body)).status_code == 200
            assert (await mod.expect("room_message"))["data"] == "after"
            assert await bob.close_code() == 4503
            assert [each for each in bob.messages if each["type"] == "room_message"] == []
            async with two.raw("bob") as again:
                assert await again.close_code() == 4503
            await ada.post(f"{BANS}/{made['bans'][0]['id']}/lift")
            async with two.raw("bob") as again:
                await again.expect("connection", status="connected")


async def _nodes(http: httpx2.AsyncClient) -> list[str]:
    return [each["node"] for each in (await http.get("/api/v1/admin/nodes")).json()["nodes"]]
