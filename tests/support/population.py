"""A database with many people who are logged in, and a program that may publish: made before the server starts."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.accounts import SECRET, cheap_passwords
from tidewire.accounts.api_keys import ApiKeys
from tidewire.accounts.guard import LoginLimits
from tidewire.accounts.service import Accounts
from tidewire.accounts.sessions import SessionRules
from tidewire.core.clock import SystemClock
from tidewire.store import migrate
from tidewire.store.bulkhead import TOOL
from tidewire.store.database import Database

PASSWORD = "four unrelated words"
# contract.md section 5: connection limit of a user.
SOCKETS_EACH = 10
# No proxy of the machine may come between a test and 127.0.0.1.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Population:
    """Who is there.

    Attributes:
        url: The database's.
        cookies: Session cookie of ``user-0``, ``user-1``, ...
        key: API key that may publish.
    """

    url: str
    cookies: list[str] = field(repr=False)
    key: str = field(repr=False)

    def headers(self, port: int, sockets: int) -> list[dict[str, str]]:
        """Return what browsers send to open that many sockets, as few as possible for each user."""
        assert sockets <= len(self.cookies) * SOCKETS_EACH
        return [self.headers_of(port, n % len(self.cookies)) for n in range(sockets)]

    def headers_of(self, port: int, user: int) -> dict[str, str]:
        """Return what a browser of one user sends."""
        return {"Origin": f"http://127.0.0.1:{port}", "Cookie": f"tidewire_session={self.cookies[user]}"}

    def publish(self, port: int, room_id: str, data: object) -> dict[str, Any]:
        """Publish over HTTP, wait for the answer and return it."""
        body = json.dumps({"room_id": room_id, "data": data}).encode()
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/publish", body, headers)
        with DIRECT.open(request, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def log_in(self, user: int, session_s: float) -> str:
        """Log a user in for that long; return the cookie."""

        async def run() -> str:
            database = Database(self.url, TOOL)
            try:
                accounts = accounts_of(database, session_s)
                return (await accounts.log_in(f"user-{user}", PASSWORD, ip="127.0.0.1")).token
            finally:
                await database.stop()

        return asyncio.run(run())

    def act(self, work: Callable[[Accounts], Awaitable[Any]]) -> Any:
        """Change the accounts as another process does: run ``work(accounts)`` to its end."""

        async def run() -> Any:
            database = Database(self.url, TOOL)
            try:
                return await work(accounts_of(database))
            finally:
                await database.stop()

        return asyncio.run(run())


def populate(folder: Path, users: int, *, role: str = "user") -> Population:
    """Make the database in ``folder``, with users of one role."""
    return populate_database(f"sqlite:///{folder / 'tidewire.db'}", users, role=role)


def populate_database(url: str, users: int, *, role: str = "user") -> Population:
    """Migrate the database of that URL and put users into it."""
    return asyncio.run(settle(url, users, role))


async def settle(url: str, users: int, role: str) -> Population:
    """Make the tables in the empty database at ``url``, with users of one role."""
    await migrate.upgrade(url)
    # Hundreds are made at once, and nobody waits for them.
    database = Database(url, TOOL)
    try:
        accounts = accounts_of(database)
        cookies = []
        for n in range(users):
            await accounts.create_user(f"user-{n}", PASSWORD, role)
            cookies.append((await accounts.log_in(f"user-{n}", PASSWORD, ip="127.0.0.1")).token)
        await accounts.create_user("program", PASSWORD, "admin")
        keys = ApiKeys(database, secret_key=SECRET, clock=SystemClock())
        made = await keys.create("program", "tests", life_s=86_400.0)
        return Population(url, cookies, made.key)
    finally:
        await database.stop()


def accounts_of(database: Database, session_s: float | None = None) -> Accounts:
    """Return the accounts of a database, with cheap passwords."""
    rules = SessionRules() if session_s is None else SessionRules(absolute_s=session_s)
    limits = LoginLimits(per_address=1_000_000)
    return Accounts(database, secret_key=SECRET, passwords=cheap_passwords(), rules=rules, limits=limits)
