"""The real application on a real SQLite file, and a visitor who behaves like a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import Depends, Request
from starlette.websockets import WebSocket

from tests.support.accounts import SECRET, cheap_passwords
from tests.support.clock import HandClock
from tests.support.waiting import PATIENT
from tidewire.accounts.http import current_principal, require_permission, require_role
from tidewire.accounts.model import Principal, Role
from tidewire.accounts.service import Accounts
from tidewire.core.errors import BusError, StoreError
from tidewire.store import migrate
from tidewire.store.database import Database
from tidewire.web.http import Door, create_http
from tidewire.web.security import HttpSecurity
from tidewire.web.templating import Templates

ORIGIN = "http://127.0.0.1:8000"
PASSWORD = "four unrelated words"
LoggedIn = Annotated[Principal, Depends(current_principal)]
HERE = Path(__file__).parent


@pytest.fixture
def clock() -> HandClock:
    """Time that only tests move."""
    return HandClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated SQLite file."""
    url = f"sqlite:///{tmp_path}/tidewire.db"
    await migrate.upgrade(url)
    database = Database(url, PATIENT)
    yield database
    await database.stop()


@pytest.fixture
async def accounts(database: Database, clock: HandClock) -> Accounts:
    """Accounts with an admin, ``ada``, and a plain user, ``bob``."""
    accounts = Accounts(database, secret_key=SECRET, clock=clock, passwords=cheap_passwords())
    await accounts.create_user("ada", PASSWORD, "admin")
    await accounts.create_user("bob", PASSWORD, "user")
    return accounts


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    """The smallest templates that show everything they are given."""
    manifest = tmp_path / "static" / ".vite" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    (tmp_path / "static" / "icons.svg").write_text("<svg></svg>")
    return Templates(HERE / "templates", tmp_path / "static")


@pytest.fixture
def door(accounts: Accounts, templates: Templates) -> Door:
    """The application with a page, an API and things that go wrong."""
    rules = HttpSecurity.build(host="127.0.0.1", port=8000)
    return with_routes(
        create_http(version="0", accounts=accounts, templates=templates, rules=rules, secret_key=SECRET, home="/page")
    )


def with_routes(door: Door) -> Door:
    """Add routes as features would."""
    app = door.app

    @app.get("/page")
    async def page(principal: LoggedIn) -> dict[str, str]:
        return {"user": principal.username, "token": door.csrf.token(principal.session_id)}

    @app.get("/api/me")
    async def me(principal: LoggedIn) -> dict[str, str]:
        return {"user": principal.username}

    @app.get("/api/admin", dependencies=[Depends(require_role(Role.ADMIN))])
    async def admin() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/api/feed", dependencies=[Depends(require_permission("feed:control"))])
    async def feed() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/api/things")
    async def things(body: dict[str, int]) -> dict[str, int]:
        return body

    @app.post("/echo")
    async def echo(request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    @app.get("/fault")
    async def fault() -> None:
        raise ZeroDivisionError("secret inside")

    @app.get("/api/store")
    async def store() -> None:
        raise StoreError("The database is away.", required_action="Start it.", will_not="Nothing was stored.")

    @app.get("/api/bus")
    async def bus() -> None:
        raise BusError("The bus is away.", required_action="Start it.", will_not="Nothing was sent.")

    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        return {"ok": True}

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        principal = websocket.scope["state"]["principal"]
        await websocket.send_text(principal.username if principal else "nobody")
        await websocket.close()

    return door


class Visitor:
    """A browser without a screen: keeps cookies, sends Origin with writes, finds the token in a form."""

    def __init__(self, door: Door, **headers: str) -> None:
        self.http = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=door.app, raise_app_exceptions=False),
            base_url=ORIGIN,
            headers={"Accept": "text/html,*/*", "User-Agent": "tests", **headers},
        )

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        """GET, not following redirects."""
        return await self.http.get(path, headers=headers)

    async def post(self, path: str, data: dict[str, str], **headers: str) -> httpx2.Response:
        """POST a form from our own page."""
        return await self.http.post(path, data=data, headers={"Origin": ORIGIN, **headers})

    async def form(self, path: str = "/login") -> dict[str, str]:
        """Return the hidden fields of the form on a page."""
        return fields((await self.get(path)).text)

    async def log_in(
        self, username: str = "ada", password: str = PASSWORD, path: str = "/login", **extra: str
    ) -> httpx2.Response:
        """Fill in the login form as shown and send it."""
        form = await self.form(path)
        return await self.post("/login", {**form, "username": username, "password": password, **extra})

    @property
    def session(self) -> str | None:
        """The session cookie."""
        return self.http.cookies.get("tidewire_session")


async def open_socket(door: Door, *headers: tuple[str, str], denial: bool = True) -> list[dict[str, Any]]:
    """Send a WebSocket handshake to ``/socket`` and return what the application answers.

    Args:
        denial: Whether the server can send an HTTP answer instead of the upgrade.
    """
    names = [name.lower() for name, _ in headers]
    host = [] if "host" in names else [("host", "127.0.0.1:8000")]
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "scheme": "ws",
        "path": "/socket",
        "query_string": b"",
        "subprotocols": [],
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in [*host, *headers]],
        "client": ("127.0.0.1", 1),
        "extensions": {"websocket.http.response": {}} if denial else {},
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await door.app(scope, receive, send)
    return sent


def fields(html: str) -> dict[str, str]:
    """Return name and value of every input in ``html``."""
    return {name: unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', html)}


@pytest.fixture
async def visitor(door: Door) -> AsyncIterator[Visitor]:
    """Somebody with a browser who is not logged in."""
    visitor = Visitor(door)
    yield visitor
    await visitor.http.aclose()
