"""The whole web process on port 0 with a real SQLite file, and people who are logged in to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import socket
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import websockets

from tests.support.accounts import SECRET, cheap_passwords
from tests.support.waiting import PATIENT
from tests.support.ws_client import RawClient, upgraded
from tidewire.accounts import service
from tidewire.accounts.service import Accounts
from tidewire.app.hub_side import HubSide
from tidewire.app.platform import Platform
from tidewire.app.web_side import WebSide
from tidewire.core.market import TICK_CHANNEL, Tick
from tidewire.settings import Settings, load_settings
from tidewire.store import migrate
from tidewire.store.database import Database

PASSWORD = "four unrelated words"
USERS = {"ada": "admin", "bob": "user", "mod": "moderator"}


def settings_for(folder: Path, **more: Any) -> Settings:
    """Return settings of a process with an empty database in ``folder``."""
    wanted = {
        "use_synthetic_data": True,
        "use_massive_api": False,
        "connection_1_enabled": True,
        "connection_1_symbols": ("AAPL",),
        "database_url": f"sqlite:///{folder}/tidewire.db",
        "redis_url": None,
        "secret_key": SECRET,
        "host": "127.0.0.1",
        "port": 0,
    }
    return load_settings(env_file=None, **{**wanted, **more})


@dataclass
class Served:
    """A running process.

    Attributes:
        cookies: Session cookie by username.
    """

    platform: Platform
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def web(self) -> WebSide:
        """Its web side."""
        assert self.platform.web is not None
        return self.platform.web

    @property
    def accounts(self) -> Accounts:
        """Its accounts."""
        return self.web.accounts

    @property
    def side(self) -> HubSide:
        """Its hub side."""
        return self.web.hub_side

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.web.server.port

    @property
    def origin(self) -> str:
        """The origin of its own pages."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The hub's address."""
        return f"ws://127.0.0.1:{self.port}/ws"

    def headers(self, username: str | None) -> dict[str, str]:
        """Return what a browser in which somebody is logged in sends."""
        cookie = {} if username is None else {"Cookie": f"tidewire_session={self.cookies[username]}"}
        return {"Origin": self.origin, **cookie}

    def raw(
        self, username: str | None = None, path: str = "/ws", **headers: str
    ) -> contextlib.AbstractAsyncContextManager[RawClient]:
        """Open a WebSocket as a browser would, byte by byte; ``headers`` are added."""
        return upgraded(self.port, path, **{**self.headers(username), **headers})

    def socket(self, username: str | None = None, **more: Any) -> websockets.connect:
        """Open a WebSocket with an ordinary library."""
        return websockets.connect(self.url, additional_headers=self.headers(username), **more)

    def http(self, username: str | None = None, **headers: str) -> httpx2.AsyncClient:
        """Return an HTTP client of somebody's browser, or of a program if nobody's."""
        given = {**(self.headers(username) if username else {}), **headers}
        return httpx2.AsyncClient(base_url=self.origin, headers=given, timeout=60)

    async def log_in(self, username: str) -> None:
        """Remember a session of that user."""
        opened = await self.accounts.log_in(username, PASSWORD, ip="127.0.0.1")
        self.cookies[username] = opened.token

    def tick(self, symbol: str, price: float, **more: Any) -> None:
        """Publish a tick on the bus, as the feed does."""
        fields: dict[str, Any] = {"volume": 10.0, "timestamp": 1_700_000_000.0, "source": "test", **more}
        tick = Tick(symbol, price, **fields)
        self.platform.bus.publish(TICK_CHANNEL, [msgspec.json.encode(tick)])


async def _prepare(path: Path) -> None:
    """Make a migrated database with the users."""
    url = f"sqlite:///{path}"
    await migrate.upgrade(url)
    database = Database(url, PATIENT)
    accounts = Accounts(database, secret_key=SECRET, passwords=cheap_passwords())
    for username, role in USERS.items():
        await accounts.create_user(username, PASSWORD, role)
    await database.stop()


@functools.cache
def _template() -> bytes:
    """A database with the users, made once per run: migrating costs more than all else in a start."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.db"
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, _prepare(path)).result()
        return path.read_bytes()


@contextlib.asynccontextmanager
async def served(folder: Path, listener: socket.socket | None = None, **settings: Any) -> AsyncIterator[Served]:
    """Run the web side of a process with three users logged in; ``listener``: it shares its port, as a worker does."""
    (folder / "tidewire.db").write_bytes(_template())
    platform = Platform(settings_for(folder, **settings), with_feed=False, listener=listener)
    with pytest.MonkeyPatch.context() as patch:
        # Real argon2id would cost a second per test.
        patch.setattr(service, "Passwords", cheap_passwords)
        await platform.start()
    try:
        made = Served(platform)
        for username in USERS:
            await made.log_in(username)
        yield made
    finally:
        await platform.stop()


async def read_until(socket: websockets.ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of that type."""
    while True:
        message: dict[str, Any] = json.loads(await socket.recv())
        if message["type"] == kind:
            return message
