"""Logging in and out with a browser: the pages, the cookies, and everything that is tried against them."""

from __future__ import annotations

import re
from html import unescape

import httpx2
import pytest
from sqlalchemy import text

from tests.support.accounts import SECRET, cheap_passwords
from tests.support.clock import HandClock
from tests.web.conftest import ORIGIN, PASSWORD, Visitor, fields, with_routes
from tidewire.accounts.guard import LoginLimits
from tidewire.accounts.service import Accounts
from tidewire.store.database import Database
from tidewire.store.users import Users
from tidewire.web.http import Door, create_http
from tidewire.web.security import HttpSecurity
from tidewire.web.templating import Templates


def alert(response: httpx2.Response) -> str:
    """Return the error shown on the login page."""
    found = re.search(r'role="alert">([^<]*)<', response.text)
    return unescape(found[1]) if found else ""


def cookie_line(response: httpx2.Response, name: str) -> str:
    """Return the Set-Cookie line of that name."""
    return next((line for line in response.headers.get_list("set-cookie") if line.startswith(f"{name}=")), "")


async def test_a_page_leads_to_login_and_back(visitor: Visitor) -> None:
    """Anonymous page request, login form, login, the page that was asked for."""
    away = await visitor.get("/page?x=1&y=a/b")
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=/page%3Fx%3D1%26y%3Da/b")
    back = await visitor.log_in(path=away.headers["location"])
    assert (back.status_code, back.headers["location"]) == (303, "/page?x=1&y=a/b")
    page = await visitor.get(back.headers["location"])
    assert (page.status_code, page.json()["user"]) == (200, "ada")


async def test_an_api_answers_401_to_browsers_too(visitor: Visitor) -> None:
    """Below /api/ nobody is redirected."""
    response = await visitor.get("/api/me")
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"].startswith("Cookie ")
    assert response.json()["code"] == "unauthorized"


async def test_roles_and_permissions(visitor: Visitor) -> None:
    """A user is refused what an admin may."""
    await visitor.log_in("bob")
    assert [(await visitor.get(path)).status_code for path in ("/api/me", "/api/admin", "/api/feed")] == [200, 403, 403]
    visitor.http.cookies.clear()
    await visitor.log_in("ada")
    assert [(await visitor.get(path)).status_code for path in ("/api/me", "/api/admin", "/api/feed")] == [200] * 3


async def test_the_cookie_is_out_of_reach(visitor: Visitor) -> None:
    """HttpOnly, SameSite, whole site, as long as the session; Secure only over TLS, where it is."""
    line = cookie_line(await visitor.log_in(), "tidewire_session").lower()
    assert "httponly" in line
    assert "samesite=lax" in line
    assert "path=/" in line
    assert "max-age=43200" in line
    assert "domain" not in line
    assert "secure" not in line


@pytest.mark.parametrize(
    ("origins", "base"), [(["https://app.example.com"], "http://app.example.com"), ([], "https://127.0.0.1:8000")]
)
async def test_cookies_are_secure_with_tls(
    accounts: Accounts, templates: Templates, origins: list[str], base: str
) -> None:
    """Behind a proxy that ends TLS (known by the configured origin), and when the request itself came over TLS."""
    rules = HttpSecurity.build(host="127.0.0.1", port=8000, allowed_origins=origins)
    door = with_routes(create_http(version="0", accounts=accounts, templates=templates, rules=rules, secret_key=SECRET))
    origin = origins[0] if origins else ORIGIN
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=door.app), base_url=base) as http:
        form = await http.get("/login", headers={"Accept": "text/html"})
        assert "secure" in cookie_line(form, "tidewire_form").lower()
        nonce = cookie_line(form, "tidewire_form").split(";")[0]
        data = {**fields(form.text), "username": "ada", "password": PASSWORD}
        response = await http.post("/login", data=data, headers={"Origin": origin, "Cookie": nonce})
        assert response.status_code == 303
        assert "secure" in cookie_line(response, "tidewire_session").lower()
        assert ("strict-transport-security" in response.headers) == bool(origins)


@pytest.mark.parametrize(("username", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada\x00", "x")])
async def test_a_failed_login_says_nothing(visitor: Visitor, username: str, password: str) -> None:
    """One text for every reason, status 401, no session, and the form works again at once."""
    response = await visitor.log_in(username, password)
    assert response.status_code == 401
    assert alert(response).startswith("The username or the password is wrong.")
    assert visitor.session is None
    again = await visitor.post("/login", {**fields(response.text), "username": "ada", "password": PASSWORD})
    assert again.status_code == 303


async def test_a_program_gets_the_document(door: Door) -> None:
    """Without Accept: text/html a failed login is a problem document."""
    visitor = Visitor(door, Accept="application/json")
    response = await visitor.log_in(password="wrong")
    assert (response.status_code, response.json()["code"]) == (401, "login_failed")
    await visitor.http.aclose()


async def test_no_session_can_be_planted(visitor: Visitor) -> None:
    """A session id set before the login is not the one after it, and stands for nobody."""
    visitor.http.cookies.set("tidewire_session", "A" * 43, domain="127.0.0.1", path="/")
    line = cookie_line(await visitor.log_in(), "tidewire_session")
    assert line
    assert "A" * 43 not in line
    visitor.http.cookies.clear()
    assert (await visitor.get("/api/me", Cookie=f"tidewire_session={'A' * 43}")).status_code == 401


async def test_a_second_login_ends_the_first_session(visitor: Visitor) -> None:
    """Posting the form again in the same browser changes the token and kills the one before."""
    form = await visitor.form()
    login = {**form, "username": "ada", "password": PASSWORD}
    await visitor.post("/login", login)
    first = visitor.session
    await visitor.post("/login", login)
    second = visitor.session
    assert second != first
    visitor.http.cookies.clear()
    assert (await visitor.get("/api/me", Cookie=f"tidewire_session={second}")).status_code == 200
    assert (await visitor.get("/api/me", Cookie=f"tidewire_session={first}")).status_code == 401


async def test_logout_kills_the_session(visitor: Visitor, accounts: Accounts) -> None:
    """The cookie is forgotten, and a copy of it is worth nothing; sockets are told."""
    ended = list[str]()
    accounts.on_revoked(ended.append)
    await visitor.log_in()
    token = visitor.session
    response = await visitor.post("/logout", await visitor.form("/logout"))
    assert (response.status_code, response.headers["location"]) == (303, "/login")
    assert 'tidewire_session=""' in cookie_line(response, "tidewire_session")
    assert visitor.session is None
    assert len(ended) == 1
    assert (await visitor.get("/api/me", Cookie=f"tidewire_session={token}")).status_code == 401


async def test_a_link_cannot_log_out(visitor: Visitor) -> None:
    """GET shows a form only; without a session it leads to the login."""
    assert (await visitor.get("/logout")).headers["location"] == "/login"
    await visitor.log_in()
    assert (await visitor.get("/logout")).status_code == 200
    assert (await visitor.get("/api/me")).status_code == 200


async def test_logout_without_a_session_is_harmless(visitor: Visitor) -> None:
    """Twice is as good as once."""
    response = await visitor.post("/logout", {"csrf_token": ""})
    assert (response.status_code, response.headers["location"]) == (303, "/login")


async def test_who_is_logged_in_sees_no_form(visitor: Visitor) -> None:
    """GET /login leads on to where it should, or home."""
    await visitor.log_in()
    assert (await visitor.get("/login")).headers["location"] == "/page"
    assert (await visitor.get("/login?next=/api/me")).headers["location"] == "/api/me"
    assert (await visitor.get("/login?next=//evil.example")).headers["location"] == "/page"


@pytest.mark.parametrize(
    "target",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "/login", "\r\nX: y", "é"],
)
async def test_login_leads_nowhere_else(visitor: Visitor, target: str) -> None:
    """A foreign next in the address or in the form leads home."""
    form = await visitor.http.get("/login", params={"next": target})
    assert fields(form.text)["next"] == ""
    response = await visitor.log_in(**{"next": target})
    assert (response.status_code, response.headers["location"]) == (303, "/page")


async def test_forms_need_their_token(visitor: Visitor, door: Door) -> None:
    """Missing, empty, wrong, altered, of another browser or of a session: refused, and nobody is logged in."""
    other = Visitor(door)
    await other.log_in()
    mine, theirs = await visitor.form(), (await other.get("/page")).json()["token"]
    stranger = Visitor(door)
    foreign = (await stranger.form())["csrf_token"]
    altered = mine["csrf_token"][:-1] + ("0" if mine["csrf_token"][-1] != "0" else "1")
    for token in (None, "", "x", ".", "é.é", altered, foreign, theirs, mine["csrf_token"] + "0"):
        data = {"username": "ada", "password": PASSWORD, **({} if token is None else {"csrf_token": token})}
        response = await visitor.post("/login", data)
        assert response.status_code == 403
        assert alert(response).startswith("The form was too old")
        assert visitor.session is None
    assert (await visitor.post("/login", {**mine, "username": "ada", "password": PASSWORD})).status_code == 303
    for each in (other, stranger):
        await each.http.aclose()


async def test_a_token_without_its_cookie_is_worthless(visitor: Visitor, door: Door) -> None:
    """The token alone, taken from somebody's page, does not log anybody in."""
    form = await visitor.form()
    stranger = Visitor(door)
    response = await stranger.post("/login", {**form, "username": "ada", "password": PASSWORD})
    assert response.status_code == 403
    await stranger.http.aclose()


async def test_logout_needs_its_own_sessions_token(visitor: Visitor, door: Door) -> None:
    """Another user's token, the login form's, or none: refused, the session stays, the page says what to do."""
    other = Visitor(door)
    anonymous = (await visitor.form())["csrf_token"]
    await visitor.log_in()
    await other.log_in("bob")
    for token in ("", anonymous, (await other.form("/logout"))["csrf_token"]):
        response = await visitor.post("/logout", {"csrf_token": token})
        assert response.status_code == 403
        assert "Send it again from the page" in response.text
    assert (await visitor.get("/api/me")).status_code == 200
    await other.http.aclose()


async def test_tokens_differ_on_every_page(visitor: Visitor) -> None:
    """The salt changes, so a compressed page leaks nothing, and an older token still works."""
    old, new = await visitor.form(), await visitor.form()
    assert old["csrf_token"] != new["csrf_token"]
    assert (await visitor.post("/login", {**old, "username": "ada", "password": PASSWORD})).status_code == 303


async def test_only_a_form_logs_in(visitor: Visitor) -> None:
    """JSON, multipart and nothing at all are not read."""
    form = {**await visitor.form(), "username": "ada", "password": PASSWORD}
    origin = {"Origin": ORIGIN}
    assert (await visitor.http.post("/login", json=form, headers=origin)).status_code == 415
    assert (await visitor.http.post("/login", files={"x": b"y"}, data=form, headers=origin)).status_code == 415
    assert (await visitor.http.post("/login", headers=origin)).status_code == 415
    many = {f"f{n}": "x" for n in range(50)}
    assert (await visitor.post("/login", many)).status_code == 400
    assert visitor.session is None


async def test_a_disabled_user_is_out_at_the_next_request(visitor: Visitor, accounts: Accounts) -> None:
    """The session ends, the page leads to the login, and the login refuses as usual."""
    await visitor.log_in()
    await accounts.change_user("ada", disabled=True)
    assert (await visitor.get("/page")).headers["location"].startswith("/login")
    assert (await visitor.log_in()).status_code == 401


async def test_sessions_expire(visitor: Visitor, clock: HandClock) -> None:
    """Idle for an hour: logged out."""
    await visitor.log_in()
    await clock.advance(3599)
    assert (await visitor.get("/api/me")).status_code == 200
    await clock.advance(3600)
    assert (await visitor.get("/api/me")).status_code == 401


async def test_a_tampered_cookie_is_nobody(visitor: Visitor) -> None:
    """Altered, doubled, quoted and absurd cookies are nobody; the true one works."""
    await visitor.log_in()
    token = visitor.session
    assert token is not None
    visitor.http.cookies.clear()
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    lines = [
        f"tidewire_session={flipped}", "tidewire_session=", "tidewire_session", f"tidewire_session={token}x",
        f"Tidewire_Session={token}", f"tidewire_session={token}; tidewire_session={'A' * 43}", "tidewire_session=\xff",
        f"tidewire_session={token}; tidewire_session={token}", ";;;=;", f"x=tidewire_session={token}", "a" * 5000,
    ]  # fmt: skip
    for line in lines:
        response = await visitor.http.get("/api/me", headers=[("Cookie", line.encode("latin-1"))])
        assert response.status_code == 401, line
    for line in (f"a=b; tidewire_session={token}; c=d", f'tidewire_session="{token}"'):
        assert (await visitor.get("/api/me", Cookie=line)).status_code == 200


async def test_a_flood_is_refused_with_the_time_to_wait(
    database: Database, clock: HandClock, templates: Templates, accounts: Accounts
) -> None:
    """After the burst: 429, Retry-After, a sentence, even for the right password; one audit row; then free again."""
    limited = Accounts(
        database, secret_key=SECRET, clock=clock, passwords=cheap_passwords(), limits=LoginLimits(per_username=4)
    )
    rules = HttpSecurity.build(host="127.0.0.1", port=8000)
    door = create_http(version="0", accounts=limited, templates=templates, rules=rules, secret_key=SECRET)
    visitor = Visitor(door)
    codes = [(await visitor.log_in(password="wrong")).status_code for _ in range(12)]
    assert codes == [401] * 4 + [429] * 8
    refused = await visitor.log_in()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert alert(refused) == "There were too many attempts to log in. Wait 30 s, then try again."
    rows = await accounts.activity.recent(action="user.login_flood")
    assert len(rows) == 1
    assert limited.statistics()["login_username_refused"] == 9
    await clock.advance(30)
    assert (await visitor.log_in()).status_code == 303
    await visitor.http.aclose()


async def test_two_hundred_names_stay_text(visitor: Visitor, database: Database, clock: HandClock) -> None:
    """Markup typed as a username comes back as the text it is, in the value of the field and nowhere else."""
    templates = [
        "<script>alert({n})</script>", '"><img src=x onerror=alert({n})>', "'><svg/onload=alert({n})>", "{{{{7*{n}}}}}",
        "{{% print({n}) %}}", '" autofocus onfocus=alert({n}) x="', "</title><script>{n}</script>", "&lt;b&gt;{n}",
        "<!--{n}-->", "javascript:alert({n})",
    ]  # fmt: skip
    names = [template.format(n=n) for n in range(20) for template in templates]
    assert len(set(names)) == 200
    form = await visitor.form()
    for name in names:
        await clock.advance(60)
        response = await visitor.post("/login", {**form, "username": name, "password": "wrong"})
        assert response.status_code == 401
        assert fields(response.text)["username"] == name
        shape = re.sub(r'value="[^"]*"', "value", response.text)
        assert "<script" not in shape
        assert "<img" not in shape
        assert "alert(" not in shape
        assert response.text.count("<input") == 4
    async with database.read() as session:
        stored = (await session.execute(text("SELECT actor, target, details FROM admin_activity_logs"))).all()
    assert "<" not in repr(stored)


async def test_a_user_may_be_called_anything(visitor: Visitor, accounts: Accounts) -> None:
    """Markup is a legal name; whoever has it can log in, and the API returns it as data."""
    name = "<script>alert(1)</script>"
    await accounts.create_user(name, PASSWORD, "user")
    assert (await visitor.log_in(name)).status_code == 303
    assert (await visitor.get("/api/me")).json() == {"user": name}


async def test_a_dead_database_is_told_and_the_login_page_stands(
    visitor: Visitor, database: Database, clock: HandClock
) -> None:
    """With a session that nobody can check: 503 where somebody is needed, and pages that need nobody still work."""
    await visitor.log_in()
    async with database.write() as session:
        await session.execute(text("ALTER TABLE sessions RENAME TO gone"))
    await clock.advance(10)
    response = await visitor.get("/page")
    assert response.status_code == 503
    assert "tidewire migrate" in response.text
    assert (await visitor.get("/api/me")).json()["code"] == "schema_outdated"
    assert (await visitor.get("/livez")).status_code == 200
    visitor.http.cookies.clear()
    assert (await visitor.get("/login")).status_code == 200
    assert await Users(database).count() == 2
