"""Users as those see and change them who manage users: over HTTP, on two nodes, with real sockets that are open."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from tests.app.test_activity import by_sql
from tests.app.test_rooms_api import problem
from tests.app.test_two_processes import both
from tests.support.platform import PASSWORD, Served, served
from tests.support.valkey import ValkeyProcess, valkey
from tidewire.accounts.model import Role
from tidewire.core.errors import Unauthenticated

__all__ = ["valkey"]
USERS = "/api/v1/admin/users"
BOB, MOD = 2, 3
JSON = {"Content-Type": "application/json"}


async def boss(site: Served, role: str = "super") -> None:
    """Add somebody who manages users."""
    await site.accounts.create_user("boss", PASSWORD, role)
    await site.log_in("boss")


async def without_review(*sites: Served) -> None:
    """Stop looking everybody up every five seconds, so that only what is told at once can act."""
    for site in sites:
        (review,) = (job for job in site.side._jobs if job.name == "logins")
        await review.stop()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Served]:
    """A process with boss (super), ada (admin who manages users), bob (user) and mod (moderator)."""
    async with served(tmp_path) as found:
        await boss(found)
        await without_review(found)
        await found.accounts.change_user("ada", grants=frozenset({"users:manage"}))
        yield found


async def change(http: httpx2.AsyncClient, user_id: int, **what: Any) -> httpx2.Response:
    """Change a user over the version that it has now."""
    version = (await http.get(f"{USERS}/{user_id}")).json()["version"]
    return await http.patch(f"{USERS}/{user_id}", json={"version": version, **what})


async def trail(site: Served) -> list[tuple[str, str, str]]:
    """Return which manager did what to whom, oldest first, without logins."""
    rows = await by_sql(site, "actor IN ('boss', 'ada') AND action NOT IN ('user.login', 'user.logout')")
    return [(row["actor"], row["action"], row["target"]) for row in reversed(rows)]


async def python_rows(site: Served) -> list[dict[str, Any]]:
    """Return all users as plain rows."""
    async with site.web.storage.requests.read() as session:
        return [dict(row) for row in (await session.execute(text("SELECT * FROM users"))).mappings()]


# ---- adding ----


async def test_a_made_password_is_shown_once_and_works(site: Served) -> None:
    """The answer has it, and neither the log nor any later answer; a chosen one is not in the answer."""
    async with site.http("boss") as http:
        answer = await http.post(USERS, json={"username": "Zoë", "role": "moderator", "denials": ["quote:edit"]})
        assert answer.status_code == 201
        made = answer.json()
        password = made["password"]
        assert re.fullmatch(r"([a-z2-9]{4}-){4}[a-z2-9]{4}", password)
        assert made["user"]["permissions"] == ["analytics:read", "market:view", "premium:view", "quote:view"]
        opened = await site.accounts.log_in("zoë", password, ip="127.0.0.1")
        assert opened.principal.role is Role.MODERATOR
        later = (await http.get(answer.headers["Location"])).text
        assert password not in later
        assert "argon2" not in later
        chosen = await http.post(USERS, json={"username": "yan", "password": "five unrelated green words"})
        assert (chosen.status_code, chosen.json()["password"]) == (201, None)
        await site.accounts.log_in("yan", "five unrelated green words", ip="127.0.0.1")
        async with site.web.storage.requests.read() as session:
            hashes = list(
                await session.scalars(text("SELECT password_hash FROM users WHERE username IN ('Zoë', 'yan')"))
            )
        assert all(each.startswith("$argon2id$") for each in hashes)
    assert ("boss", "user.add", "Zoë") in await trail(site)
    assert password not in json.dumps(await by_sql(site), default=str)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"username": "x" * 10_000}, "invalid_username"),
        ({"username": "x" * 30_000}, "bad_request"),
        ({"username": "a\x00b"}, "invalid_username"),
        ({"username": "a\u202eb"}, "invalid_username"),
        ({"username": " a"}, "invalid_username"),
        ({"username": ""}, "invalid_username"),
        ({"username": "BOB"}, "username_taken"),
        ({"username": "new", "role": "root"}, "unknown_role"),
        ({"username": "new", "grants": ["audit:write"]}, "unknown_permission"),
        ({"username": "new", "grants": ["x"] * 1_000}, "bad_request"),
        ({"username": "new", "password": "short"}, "weak_password"),
        ({"username": "new", "password": "x" * 10_000}, "weak_password"),
        ({"username": "new", "admin": True}, "bad_request"),
        ({"username": 7}, "bad_request"),
        ([], "bad_request"),
    ],
)
async def test_bad_new_users_are_named_errors(site: Served, body: Any, code: str) -> None:
    """Each is refused in three sentences, and nobody is added."""
    before = len(await python_rows(site))
    async with site.http("boss") as http:
        answer = await http.post(USERS, json=body)
    problem(answer, 409 if code == "username_taken" else 400, code)
    assert all(answer.json()[name] for name in ("detail", "required_action", "will_not"))
    assert len(await python_rows(site)) == before


async def test_a_document_of_a_megabyte_and_no_json_are_refused(site: Served) -> None:
    """Neither is read to its end, or guessed at."""
    async with site.http("boss") as http:
        huge = await http.post(USERS, content=b'{"username":"' + b"x" * 1_000_000 + b'"}', headers=JSON)
        assert huge.status_code in (400, 413)
        assert huge.json()["will_not"]
        problem(await http.post(USERS, content=b"{not json", headers=JSON), 400, "bad_request")
        problem(await http.patch(f"{USERS}/{BOB}", content=b"\xff", headers=JSON), 400, "bad_request")
        problem(await http.patch(f"{USERS}/{BOB}", json={"version": 1}), 400, "bad_request")
        problem(await http.patch(f"{USERS}/{BOB}", json={"version": 1, "role": "root"}), 400, "unknown_role")
        problem(await http.get(f"{USERS}/999"), 404, "unknown_user")
        problem(await http.patch(f"{USERS}/999", json={"version": 1, "disabled": True}), 404, "unknown_user")
        assert (await http.get(f"{USERS}/0")).status_code in (400, 422)
        problem(await http.get(USERS, params={"cursor": "WzEsMl0="}), 400, "bad_request")
        problem(await http.get(USERS, params={"role": "root"}), 400, "unknown_role")
        assert (await http.get(USERS, params={"limit": "1000000000"})).status_code in (400, 422)
        assert (await http.get(USERS, params={"sort": "password_hash"})).status_code in (400, 422)


# ---- changing ----


async def test_a_change_acts_at_once_on_open_sockets_of_both_nodes(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Disabled on one node: sockets on both close with 4511, requests get 401; a denial puts out of rooms at once."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await boss(one)
        await without_review(one, two)
        await one.log_in("mod")
        async with (
            one.raw("bob") as here, two.raw("bob") as there, two.raw("mod") as mod,
            one.http("boss") as http, two.http("bob") as page,
        ):  # fmt: skip
            for client in (here, there, mod):
                await client.expect("connection", status="connected")
                client.say("subscribe", id=1, room_id="market:AAPL")
                await client.expect("reply", id=1, ok=True)
            sockets = (await http.get(f"{USERS}/{BOB}/connections")).json()
            assert sorted(row["node"] for row in sockets["connections"]) == ["one", "two"]
            assert (sockets["complete"], sockets["matching"]) == (True, 2)
            assert (await page.get("/api/v1/quotes")).status_code == 200

            assert (await change(http, MOD, denials=["market:view"])).status_code == 200
            assert (await mod.expect("unsubscribed", room_id="market:AAPL"))["reason"]

            answer = await change(http, BOB, disabled=True)
            assert (answer.json()["disabled"], answer.json()["permissions"], answer.json()["logins"]) == (True, [], 0)
            assert [await client.close_code() for client in (here, there)] == [4511, 4511]
            assert (await page.get("/api/v1/quotes")).status_code == 401
            with pytest.raises(Unauthenticated):
                await two.accounts.log_in("bob", PASSWORD, ip="127.0.0.1")
            left = (await http.get(f"{USERS}/{BOB}/connections")).json()["connections"]
            assert {row["state"] for row in left} <= {"closing"}
            assert (await change(http, BOB, disabled=False)).json()["permissions"]
            await two.accounts.log_in("bob", PASSWORD, ip="127.0.0.1")
        assert await trail(one) == [
            ("boss", "user.change", "mod"), ("boss", "user.change", "bob"), ("boss", "user.change", "bob"),
        ]  # fmt: skip


async def test_logged_out_everywhere_and_one_login_alone(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """One login ended closes its sockets only; everywhere closes the others with 4512, on the other node too."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        await boss(one)
        await without_review(one, two)
        async with one.http("boss") as http:
            (first,) = (await http.get(f"{USERS}/{BOB}/sessions")).json()["sessions"]
            async with two.raw("bob") as old:
                await old.expect("connection", status="connected")
                await two.log_in("bob")
                async with two.raw("bob") as new:
                    await new.expect("connection", status="connected")
                    sessions = (await http.get(f"{USERS}/{BOB}/sessions")).json()["sessions"]
                    assert len(sessions) == 2
                    secret = [two.cookies["bob"]]
                    assert not [word for word in secret if word in json.dumps(sessions)]
                    assert set(sessions[0]) == {"id", "created_at", "last_seen", "expires_at", "ip", "user_agent"}
                    ended = await http.post(f"{USERS}/{BOB}/sessions/{first['id']}/end")
                    assert ended.json() == {"sessions_ended": 1}
                    assert await old.close_code() == 4512
                    problem(await http.post(f"{USERS}/{MOD}/sessions/{first['id']}/end"), 404, "not_found")
                    new.say("ping", id=1)
                    await new.expect("pong")
                    assert (await http.post(f"{USERS}/{BOB}/logout")).json() == {"sessions_ended": 1}
                    assert await new.close_code() == 4512
            assert (await http.get(f"{USERS}/{BOB}/sessions")).json()["sessions"] == []
        assert await trail(one) == [
            ("boss", "user.end_session", "bob"),
            ("boss", "user.logout_everywhere", "bob"),
        ]


async def test_a_new_password_ends_the_logins(site: Served) -> None:
    """The old one does not work any more, the made one does; the socket closes."""
    async with asyncio.timeout(30), site.raw("bob") as client, site.http("boss") as http:
        await client.expect("connection", status="connected")
        answer = (await http.post(f"{USERS}/{BOB}/password", json={})).json()
        assert answer["sessions_ended"] == 1
        assert await client.close_code() == 4512
        with pytest.raises(Unauthenticated):
            await site.accounts.log_in("bob", PASSWORD, ip="127.0.0.1")
        await site.accounts.log_in("bob", answer["password"], ip="127.0.0.1")
        problem(await http.post(f"{USERS}/{BOB}/password", json={"password": "bob"}), 400, "weak_password")


async def test_of_two_who_edit_one_user_the_second_is_told(site: Served) -> None:
    """Both have seen one version: the first is stored, the second gets 409 with the present version."""
    async with site.http("boss") as one, site.http("ada") as two:
        version = (await one.get(f"{USERS}/{BOB}")).json()["version"]
        done = await one.patch(f"{USERS}/{BOB}", json={"version": version, "grants": ["analytics:read"]})
        assert done.json()["version"] == version + 1
        late = await two.patch(f"{USERS}/{BOB}", json={"version": version, "grants": []})
        problem(late, 409, "conflict")
        assert late.json()["details"] == {"version": version + 1}
        assert (await two.get(f"{USERS}/{BOB}")).json()["grants"] == ["analytics:read"]
        jobs = [http.patch(f"{USERS}/{BOB}", json={"version": version + 1, "grants": []}) for http in (one, two) * 4]
        assert sorted(answer.status_code for answer in await asyncio.gather(*jobs)) == [200] + [409] * 7


async def test_nobody_reaches_beyond_themselves(site: Served) -> None:
    """Not above one's role, oneself, the last super, one's permissions; each refusal is in the log, nothing changed."""
    async with site.http("ada") as ada, site.http("boss") as super_:
        boss_id = (await super_.get(f"{USERS}/rules")).json()["own_id"]
        before = await python_rows(site)
        for answer, status, code in (
            (await change(ada, BOB, role="super"), 403, "above_own_role"),
            (await change(ada, 1, role="super"), 403, "above_own_role"),
            (await change(ada, 1, disabled=True), 403, "not_yourself"),
            (await change(ada, boss_id, disabled=True), 403, "above_own_role"),
            (await ada.post(f"{USERS}/{boss_id}/password", json={}), 403, "above_own_role"),
            (await ada.post(f"{USERS}/{boss_id}/logout"), 403, "above_own_role"),
            (await ada.post(USERS, json={"username": "evil", "role": "super"}), 403, "above_own_role"),
            (await change(super_, boss_id, disabled=True), 403, "not_yourself"),
            (await change(super_, boss_id, role="admin"), 409, "last_super"),
            (await change(super_, boss_id, denials=["users:manage"]), 409, "last_super"),
        ):
            problem(answer, status, code)
        assert await python_rows(site) == before
        refused = [json.loads(row["details"]) for row in await by_sql(site, "details LIKE '%refused%'")]
        assert [line["error"] for line in refused].count("above_own_role") == 6
        assert [line["error"] for line in refused].count("last_super") == 2
        await site.accounts.change_user("ada", denials=frozenset({"premium:view"}))
        problem(await change(ada, BOB, grants=["premium:view"]), 403, "beyond_own_permissions")
        problem(await change(ada, BOB, role="moderator"), 403, "beyond_own_permissions")
        problem(await ada.post(f"{USERS}/{MOD}/password", json={}), 403, "beyond_own_permissions")


async def test_two_supers_who_demote_each_other_leave_one(site: Served) -> None:
    """At the same moment: one is stored, the other is refused, on whichever side."""
    await site.accounts.create_user("chief", PASSWORD, "super")
    await site.log_in("chief")
    async with site.http("boss") as boss_, site.http("chief") as chief:
        ids = [(await http.get(f"{USERS}/rules")).json()["own_id"] for http in (boss_, chief)]
        answers = await asyncio.gather(change(boss_, ids[1], role="admin"), change(chief, ids[0], role="admin"))
        assert sorted(answer.status_code for answer in answers) in ([200, 403], [200, 409])
    assert [row["role"] for row in await python_rows(site)].count("super") == 1


async def test_without_the_permission_nothing_is_shown_or_done(site: Served) -> None:
    """An admin without users:manage, and one who loses it while the page is open: 403 at once; nobody: 401."""
    async with site.http("ada") as ada, site.http("mod") as mod, site.http() as nobody:
        for http, status, code in ((mod, 403, "permission_denied"), (nobody, 401, "unauthorized")):
            for path in ("", "/rules", f"/{BOB}", f"/{BOB}/sessions", f"/{BOB}/connections"):
                problem(await http.get(USERS + path), status, code)
        problem(await mod.patch(f"{USERS}/{BOB}", json={"version": 1, "role": "super"}), 403, "permission_denied")
        assert (await ada.get(USERS)).status_code == 200
        async with site.http("boss") as super_:
            await change(super_, 1, grants=[])
        problem(await ada.get(USERS), 403, "permission_denied")
        problem(await ada.post(f"{USERS}/{BOB}/logout"), 403, "permission_denied")
        assert ("boss", "user.change", "ada") in await trail(site)


async def test_without_its_line_in_the_log_nothing_is_done(site: Served) -> None:
    """The change and its line are one transaction: if the line cannot be written, the user is as before."""
    async with site.web.storage.requests.write() as session:
        await session.execute(text("ALTER TABLE admin_activity_logs RENAME TO hidden"))
    before = await python_rows(site)
    async with site.http("boss") as http:
        for answer in (
            await change(http, BOB, role="admin"),
            await http.post(USERS, json={"username": "new"}),
            await http.post(f"{USERS}/{BOB}/password", json={}),
            await http.post(f"{USERS}/{BOB}/logout"),
        ):
            assert answer.status_code >= 500
            assert answer.json()["will_not"]
    assert await python_rows(site) == before
    async with site.web.storage.requests.read() as session:
        open_ = await session.scalar(text("SELECT count(*) FROM sessions WHERE user_id = 2 AND revoked_at IS NULL"))
    assert open_ == 1
