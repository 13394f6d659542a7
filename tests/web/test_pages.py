"""The pages over HTTP: who gets which, what is in them, and how built files may be kept."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.support.scripted_admin import principal
from tidewire.accounts.model import Principal, Role
from tidewire.core.errors import RequestError
from tidewire.web.pages import PageSettings, pages_router, static_mount
from tidewire.web.templating import Templates

QUOTE = "/quotes/6f1c1f5e-3a54-4c8e-9a0b-0f5d2c7b9e11"
OPERATORS = ["/admin/websockets", "/admin/connections", "/admin/rooms"]


class Door:
    """A door that lets in whoever ``who`` is."""

    def __init__(self) -> None:
        self.who: Principal | None = None
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.templates = Templates()
        settings = PageSettings(node="node-<a>", demo=True, data_notice="Modelled path.")
        self.app.include_router(pages_router(self.templates, settings, lambda request: "token-1"))
        self.app.routes.append(static_mount(self.templates))
        self.app.add_exception_handler(RequestError, self.refuse)

        @self.app.middleware("http")
        async def identify(request: Request, call_next):  # type: ignore[no-untyped-def]
            request.state.principal = self.who
            return await call_next(request)

    @staticmethod
    def refuse(request: Request, error: Exception) -> Response:
        """Answer as a problem."""
        assert isinstance(error, RequestError)
        return JSONResponse(error.describe(), status_code=error.status)


@pytest.fixture
def door() -> Door:
    """A door with nobody before it."""
    return Door()


@pytest.fixture
async def client(door: Door) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser of sorts."""
    transport = httpx2.ASGITransport(app=door.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://tidewire.test") as found:
        yield found


@pytest.mark.parametrize(
    "path", ["/", "/admin/websockets", "/admin/connections", "/streaming", "/quotes", QUOTE, "/docs", "/openapi.json"]
)
async def test_nobody_sees_a_page(client: httpx2.AsyncClient, path: str) -> None:
    """Without a session every page is refused."""
    assert (await client.get(path)).status_code == 401


@pytest.mark.parametrize("path", OPERATORS)
async def test_the_operators_pages_are_for_admins(door: Door, client: httpx2.AsyncClient, path: str) -> None:
    """A user and a moderator are refused, an admin and a super user are let in."""
    for role, expected in [(Role.USER, 403), (Role.MODERATOR, 403), (Role.ADMIN, 200), (Role.SUPER, 200)]:
        door.who = principal(role)
        assert (await client.get(path)).status_code == expected


async def test_streaming_is_for_those_who_may_see_the_market(door: Door, client: httpx2.AsyncClient) -> None:
    """The permission counts, not the role; the page begins with the server's time and leads back to itself."""
    door.who = principal(Role.USER)
    answer = await client.get("/streaming")
    assert answer.status_code == 200
    assert re.search(r'data-server-time="\d+\.\d{3}"', answer.text)
    assert 'href="/streaming" data-testid="nav-streaming" aria-current="page"' in answer.text
    assert "Modelled path." in answer.text
    door.who = replace(principal(Role.SUPER), permissions=frozenset())
    assert (await client.get("/streaming")).status_code == 403
    assert "nav-streaming" not in (await client.get("/admin/websockets")).text


async def test_quotes_are_for_those_who_may_see_them(door: Door, client: httpx2.AsyncClient) -> None:
    """The permission counts; only a number leads to a quote; what rights bring is hidden until they are there."""
    seen = replace(principal(Role.USER), permissions=frozenset({"quote:view"}))
    for path in ("/quotes", QUOTE):
        door.who = replace(principal(Role.SUPER), permissions=frozenset({"market:view"}))
        assert (await client.get(path)).status_code == 403
        door.who = seen
        answer = await client.get(path)
        assert answer.status_code == 200
        assert 'href="/quotes" data-testid="nav-quotes" aria-current="page"' in answer.text
        # The page's script shows them when the server says so; there is never an amount in the page itself.
        kept = re.findall(r'<[a-z]+[^>]*data-part="(?:premium|premium-column|new|calculate|bind)"[^>]*>', answer.text)
        assert kept
        assert all(re.search(r"\shidden[\s>]", tag) for tag in kept), kept
    door.who = replace(seen, permissions=frozenset({"quote:view", "quote:edit"}))
    assert re.search(r'<button[^>]*data-part="new"[^>]*hidden', (await client.get("/quotes")).text) is None
    for path in ("/quotes/12", QUOTE.upper(), f"{QUOTE}0"):
        assert (await client.get(path)).status_code == 404
    door.who = seen
    assert (await client.get("/")).headers["location"] == "/quotes"


async def test_the_start_page_leads_to_what_one_may_see(door: Door, client: httpx2.AsyncClient) -> None:
    """An admin is led to the feed, a user to the prices; who may see neither is told whom to ask."""
    for role, expected in [
        (Role.ADMIN, "/admin/websockets"),
        (Role.MODERATOR, "/streaming"),
        (Role.USER, "/streaming"),
    ]:
        door.who = principal(role)
        answer = await client.get("/")
        assert answer.status_code == 303
        assert answer.headers["location"] == expected
    door.who = replace(principal(Role.USER), permissions=frozenset())
    answer = await client.get("/")
    assert answer.status_code == 200
    assert "Ask an administrator" in answer.text
    assert "/admin/websockets" not in answer.text
    assert "/streaming" not in answer.text


async def test_the_feed_page_tells_its_context(door: Door, client: httpx2.AsyncClient) -> None:
    """Node, user, role, demo, data notice and the token of the logout form are in the page, as text."""
    door.who = principal()
    page = (await client.get("/admin/websockets")).text
    for words in [
        "node-&lt;a&gt;",
        ">ada<",
        ">admin<",
        "Modelled path.",
        'value="token-1"',
        'data-testid="demo-banner"',
    ]:
        assert words in page


@pytest.mark.parametrize("path", ["/admin/websockets", "/streaming", "/quotes", QUOTE, "/docs", "/"])
async def test_pages_keep_the_strict_policy(door: Door, client: httpx2.AsyncClient, path: str) -> None:
    """No inline script, style or handler, no foreign address, and never kept by a cache."""
    door.who = replace(principal(Role.USER), permissions=frozenset()) if path == "/" else principal()
    answer = await client.get(path)
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text)
    assert not re.search(r"\sstyle=|<style|\son\w+=", answer.text)
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", answer.text)


async def test_every_file_a_page_names_is_served(door: Door, client: httpx2.AsyncClient) -> None:
    """Each script, style sheet and icon answers; hashed ones may be kept for good, the others are revalidated."""
    door.who = principal()
    page = (await client.get("/admin/websockets")).text
    urls = set(re.findall(r'(?:src|href)="(/static/[^"]+\.\w+)"', page))
    assert any("/assets/" in url for url in urls)
    for url in urls:
        answer = await client.get(url)
        assert answer.status_code == 200, url
        assert ("immutable" in answer.headers["cache-control"]) == ("/assets/" in url)
        again = await client.get(url, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
        assert again.headers["cache-control"] == answer.headers["cache-control"]


@pytest.mark.parametrize(
    "path", [".vite/manifest.json", ".built-from", "assets/.x", "..%2f..%2fpages.py", "nothing.js"]
)
async def test_nothing_else_is_served(client: httpx2.AsyncClient, path: str) -> None:
    """Dot files, other folders and unknown names are not there."""
    assert (await client.get(f"/static/{path}")).status_code == 404


async def test_the_page_speaks_german(door: Door, client: httpx2.AsyncClient) -> None:
    """The language of the browser is the language of the first byte."""
    door.who = principal()
    page = (await client.get("/admin/websockets", headers={"Accept-Language": "de"})).text
    assert '<html lang="de"' in page
    assert "Ansicht anhalten" in page


def test_login_keeps_what_was_typed_and_says_what_went_wrong(door: Door) -> None:
    """The login page shows the error as text, carries token and target, and puts the user name back."""
    request = Request({"type": "http", "method": "GET", "path": "/login", "query_string": b"", "headers": []})
    error = {"code": "odd", "message": "Wrong <b>", "required_action": "Try again.", "will_not": "", "details": None}
    context = {"csrf_token": "c-1", "next": '/a?b="c"', "error": error, "username": '"><x>'}
    page = bytes(door.templates.render(request, "login.html", context).body).decode()
    assert "Wrong &lt;b&gt;" in page
    assert 'value="/a?b=&#34;c&#34;"' in page
    assert 'value="&#34;&gt;&lt;x&gt;"' in page
    assert 'value="c-1"' in page
    none = bytes(door.templates.render(request, "login.html", {**context, "error": None}).body).decode()
    assert 'role="alert"' not in none


def test_the_error_page_says_all_three_sentences(door: Door) -> None:
    """What happened, what to do, what will not happen, and the id to quote; empty parts leave no heading."""
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []})
    context = {
        "status": 404,
        "code": "odd",
        "details": None,
        "detail": "There is no such page.",
        "required_action": "Go to the start page.",
        "will_not": "Guess.",
        "correlation_id": "abc",
    }
    answer = door.templates.render(request, "error.html", context, status=404)
    page = bytes(answer.body).decode()
    assert answer.status_code == 404
    for words in ["404", "Not found", "There is no such page.", "Go to the start page.", "Guess.", "abc"]:
        assert words in page
    bare = {**context, "required_action": "", "will_not": "", "correlation_id": ""}
    assert "<dt>" not in bytes(door.templates.render(request, "error.html", bare).body).decode()


def test_the_error_page_speaks_german_and_marks_what_it_has_no_words_for(door: Door) -> None:
    """By the error's code, with what it names as text; the server's own words are marked as English."""
    headers = [(b"accept-language", b"de")]
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers})
    own = {"detail": "It was.", "required_action": "Do it.", "will_not": "Not that.", "correlation_id": "abc"}
    known = {**own, "status": 403, "code": "permission_denied", "details": {"permission": "<audit:read>"}}
    page = bytes(door.templates.render(request, "error.html", known).body).decode()
    assert "<h1>Nicht erlaubt</h1>" in page
    assert ">Dazu fehlt die Berechtigung &lt;audit:read&gt;.</p>" in page
    assert ">Einen Administrator darum bitten.</dd>" in page
    assert ">Tidewire zeigt und ändert nichts davon.</dd>" in page
    assert "It was." not in page
    odd = {**own, "status": 418, "code": "odd", "details": None}
    page = bytes(door.templates.render(request, "error.html", odd).body).decode()
    assert "<h1>Das ging nicht</h1>" in page
    assert '<p data-testid="error-detail" lang="en">It was.</p>' in page


def test_the_logout_page_posts_its_token(door: Door) -> None:
    """Logging out is a POST with the token."""
    request = Request({"type": "http", "method": "GET", "path": "/logout", "query_string": b"", "headers": []})
    page = bytes(door.templates.render(request, "logout.html", {"csrf_token": "c-2"}).body).decode()
    assert 'method="post" action="/logout"' in page
    assert 'value="c-2"' in page


async def test_the_schema_is_for_those_who_are_logged_in(door: Door, client: httpx2.AsyncClient) -> None:
    """/docs reads it; it describes the routes of the application that serves it."""
    door.who = principal(Role.USER)
    answer = await client.get("/openapi.json")
    assert answer.json()["openapi"].startswith("3.")
    assert answer.headers["cache-control"] == "no-store"
