"""Passwords that somebody else chose: they open the page on which they are changed, and nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets
from sqlalchemy import text

from tests.app.test_rooms_api import problem
from tests.app.test_users import USERS, boss
from tests.support.platform import PASSWORD, Served, served

NEW = "seven quiet orange rivers"
HTML = {"Accept": "text/html"}
REQUIRED = "password_change_required"
BOB = 2


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Served]:
    """A process with boss, who manages users."""
    async with served(tmp_path) as found:
        await boss(found)
        yield found


async def newcomer(site: Served, **body: Any) -> tuple[str, str]:
    """Add dora over HTTP and log her in; return her password and her token."""
    async with site.http("boss") as http:
        made = (await http.post(USERS, json={"username": "dora", "role": "admin", **body})).json()
    password = made["password"] or body["password"]
    assert made["user"]["must_change_password"] is True
    opened = await site.accounts.log_in("dora", password, ip="127.0.0.1")
    site.cookies["dora"] = opened.token
    return password, opened.token


async def form_of(http: httpx2.AsyncClient, path: str = "/password") -> dict[str, str]:
    """Return the hidden fields of the page."""
    page = await http.get(path, headers=HTML)
    assert page.status_code == 200, page.text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))


async def send(http: httpx2.AsyncClient, present: str, new: str, again: str | None = None) -> httpx2.Response:
    """Send the form as the page does."""
    fields = {**await form_of(http, "/password?next=/quotes"), "present": present, "new": new}
    return await http.post("/password", data={**fields, "again": new if again is None else again}, headers=HTML)


@pytest.mark.parametrize("body", [{}, {"password": "five unrelated green words"}])
async def test_nothing_opens_until_the_password_is_changed_and_everything_after(
    site: Served, body: dict[str, str]
) -> None:
    """Made or chosen by an admin: pages lead to the form, API, /ws, the operators' socket and Socket.IO refuse."""
    password, token = await newcomer(site, **body)
    async with site.http("dora") as dora:
        answer = await dora.get("/api/v1/admin/connections")
        problem(answer, 403, REQUIRED)
        assert all(answer.json()[name] for name in ("detail", "required_action", "will_not"))
        problem(await dora.post("/api/v1/connection-token"), 403, REQUIRED)
        problem(await dora.get("/openapi.json"), 403, REQUIRED)
        away = await dora.get("/quotes?x=1", headers=HTML)
        assert (away.status_code, away.headers["location"]) == (303, "/password?next=/quotes%3Fx%3D1")
        assert (await dora.get("/livez")).status_code == 200
        for path in ("/ws", "/ws/admin-dashboard"):
            async with site.raw("dora", path) as socket:
                assert await socket.close_code() == 4507
                told, closing = socket.messages
                assert (told["type"], told["code"], closing["reason"]) == ("error", REQUIRED, "permission_denied")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(
                f"ws://127.0.0.1:{site.port}/socket.io/?EIO=4&transport=websocket",
                additional_headers=site.headers("dora"),
            )
        assert refused.value.response.status_code == 403
        done = await send(dora, password, NEW)
        assert (done.status_code, done.headers["location"]) == (303, "/quotes")
        fresh = re.match(r"tidewire_session=([^;]+)", done.headers["set-cookie"])
        assert fresh is not None
    # The login with the old password is over; the new one opens everything.
    assert await site.accounts.load_session(token) is None
    site.cookies["dora"] = fresh[1]
    async with site.http("dora") as dora, site.raw("dora") as socket:
        await socket.expect("connection", status="connected")
        assert (await dora.get("/api/v1/admin/connections")).status_code == 200
    assert not (await site.accounts.log_in("dora", NEW, ip="127.0.0.1")).principal.must_change_password
    (line,) = await site.accounts.activity.recent(action="user.passwd")
    assert (line.entry.actor, line.entry.target, line.entry.details) == ("dora", "dora", {"own": True})


async def test_a_login_leads_to_the_form_and_then_to_where_it_came_from(site: Served) -> None:
    """The page says why it is shown, in the reader's language."""
    password, _ = await newcomer(site)
    own = {"Origin": site.origin, **HTML}
    async with httpx2.AsyncClient(base_url=site.origin, headers=own, timeout=60) as http:
        fields = await form_of(http, "/login?next=/analytics")
        done = await http.post("/login", data={**fields, "username": "dora", "password": password})
        assert (done.status_code, done.headers["location"]) == (303, "/password?next=/analytics")
        page = await http.get(done.headers["location"], headers={"Accept-Language": "de"})
        assert "Ihr Passwort hat jemand anders gewählt" in page.text


async def test_a_reset_ends_what_is_open_and_asks_for_a_change(site: Served) -> None:
    """By an admin for somebody else, made or chosen; who chooses their own is not asked again."""
    async with site.http("boss") as http, site.raw("bob") as bob:
        await bob.expect("connection", status="connected")
        made = (await http.post(f"{USERS}/{BOB}/password", json={})).json()
        assert await bob.close_code() == 4512
        assert (await site.accounts.log_in("bob", made["password"], ip="127.0.0.1")).principal.must_change_password
        chosen = await http.post(f"{USERS}/{BOB}/password", json={"password": NEW})
        assert chosen.status_code == 200
        assert (await site.accounts.log_in("bob", NEW, ip="127.0.0.1")).principal.must_change_password
        boss_id = (await http.get(f"{USERS}/rules")).json()["own_id"]
        assert (await http.post(f"{USERS}/{boss_id}/password", json={"password": NEW})).status_code == 200
    assert not (await site.accounts.log_in("boss", NEW, ip="127.0.0.1")).principal.must_change_password


async def test_anybody_may_change_their_own_and_a_wrong_form_changes_nothing(site: Served) -> None:
    """Wrong present password, weak, the same, not repeated, without a token, too many tries: each by name."""
    async with site.http("bob") as bob:
        wrong = [
            (("wrong password!", NEW), 400, "The present password is wrong."),
            ((PASSWORD, "short"), 400, "will not do"),
            ((PASSWORD, "bob"), 400, "will not do"),
            ((PASSWORD, "x" * 100_000), 413, ""),
            ((PASSWORD, PASSWORD), 400, "is the present one"),
            ((PASSWORD, NEW, "another one here"), 400, "not typed the same way twice"),
        ]
        for given, status, words in wrong:
            answer = await send(bob, *given)
            assert (answer.status_code, words in answer.text) == (status, True), (given, answer.text)
        forged = {"present": PASSWORD, "new": NEW, "again": NEW, "csrf_token": "a.b"}
        problem(await bob.post("/password", data=forged), 403, "csrf_failed")
        problem(
            await bob.post("/password", data=forged, headers={"Origin": "https://evil.example"}), 403, "origin_refused"
        )
        lines = await site.accounts.activity.recent(action="user.passwd")
        assert [line.entry.details for line in lines] == [{"outcome": "refused", "error": "wrong_password"}]
        tries = [(await send(bob, "wrong password!", NEW)).status_code for _ in range(12)]
        assert tries[-1] == 429
        assert set(tries) == {400, 429}
    await site.accounts.load_session(site.cookies["bob"])
    async with site.http() as nobody:
        assert (await nobody.get("/password")).status_code == 401


async def test_an_api_key_goes_on_while_its_users_password_must_be_changed(site: Served) -> None:
    """A key is a secret of its own: a reset of the password does not stop the programs."""
    key = (await site.side.keys.create("bob", "robot", life_s=3_600.0)).key
    await site.accounts.set_password("bob", NEW, must_change=True)
    async with site.http(Authorization=f"Bearer {key}") as robot:
        assert (await robot.get("/api/v1/rooms/app:x/history")).status_code == 200


async def test_two_who_change_one_password_do_not_overwrite_each_other(site: Served) -> None:
    """What was decided over a password that is no longer there is not stored."""
    user = await site.accounts._users.by_name("bob")
    assert user is not None
    await site.accounts.set_password("bob", NEW)
    with pytest.raises(Exception, match="changed by somebody else"):
        await site.accounts._users.set_password(user.id, "hash", 1.0, instead_of=user.password_hash)
    await site.accounts.log_in("bob", NEW, ip="127.0.0.1")


async def test_a_password_that_is_changed_is_said_to_be_although_no_login_opens(site: Served) -> None:
    """The database takes the password and then no login: whoever changed it reads that the new one holds."""
    async with site.web.storage.requests.write() as session:
        await session.execute(text("CREATE TRIGGER shut BEFORE INSERT ON sessions BEGIN SELECT RAISE(ABORT, 'x'); END"))
    async with site.http("bob") as bob:
        answer = await send(bob, PASSWORD, NEW)
    assert answer.status_code == 401
    assert "Your password is changed" in answer.text
    assert "with the new password" in answer.text
    async with site.web.storage.requests.write() as session:
        await session.execute(text("DROP TRIGGER shut"))
    assert (await site.accounts.log_in("bob", NEW, ip="127.0.0.1")).principal.username == "bob"
