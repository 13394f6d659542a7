"""``tidewire serve`` over a Postgres of its own, asked from outside: logins, health, metrics, sockets.

It must not know which fault a test makes. Every wait is for the thing itself, with a ceiling.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx2
import websockets

from tests.support.command import Service, run_command
from tests.support.postgres import PostgresProcess, create_database, postgres_process
from tests.support.served import PASSWORD, add_admin, log_in_over_http, serving, settings
from tests.support.waiting import eventually

T = TypeVar("T")
# A wait that should take a second or two; the machine may be busy with other suites.
CEILING_S = 40.0
ROOM = "public:faults"


@dataclass(frozen=True)
class Answer:
    """What an HTTP request got, and how long it took, seconds."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]
    took_s: float


@dataclass
class Live:
    """An open socket in a market room and in a public one."""

    socket: websockets.ClientConnection
    ticks_seen: int = 0
    told: asyncio.Condition = field(default_factory=asyncio.Condition)
    replies: dict[str, Any] = field(default_factory=dict)
    said: list[Any] = field(default_factory=list)
    connection_id: str = ""

    async def read(self) -> None:
        """Sort what comes until the socket ends."""
        async for text in self.socket:
            message = json.loads(text)
            async with self.told:
                if message["type"] == "connection" and message["status"] == "connected":
                    self.connection_id = message["connection_id"]
                elif message["type"] == "reply":
                    self.replies[message["id"]] = message
                elif message.get("room_id") == ROOM and message["type"] == "room_message":
                    self.said.append(message["data"])
                elif message.get("room_id") == "market:AAPL":
                    self.ticks_seen += 1
                self.told.notify_all()

    async def until(self, found: Callable[[], Any]) -> Any:
        """Return what ``found`` returns once it is true."""
        async with asyncio.timeout(CEILING_S), self.told:
            await self.told.wait_for(found)
            return found()

    async def flows(self) -> None:
        """Return when fresh ticks have come and a message published here has come back."""
        want = self.ticks_seen + 5
        await self.until(lambda: self.ticks_seen >= want)
        mark = f"mark {time.monotonic_ns()}"
        await self.socket.send(json.dumps({"type": "publish", "id": mark, "room_id": ROOM, "data": mark}))
        reply = await self.until(lambda: self.replies.get(mark))
        assert reply["ok"] is True, reply
        await self.until(lambda: mark in self.said)


@dataclass
class DatabaseSite:
    """The running platform and its server of Postgres."""

    postgres: PostgresProcess
    service: Service
    url: str
    database_url: str
    cookie: str

    @property
    def headers(self) -> dict[str, str]:
        """What the administrator's browser sends."""
        return {"Cookie": f"tidewire_session={self.cookie}", "Origin": self.url}

    @property
    def socket_url(self) -> str:
        """Where sockets are opened."""
        return self.url.replace("http", "ws", 1) + "/ws"

    async def log_in(self) -> Answer:
        """Send the login form as a program would; a success is a redirect."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=CEILING_S) as http:
            page = (await http.get("/login")).text
            token = re.search(r'name="csrf_token" value="([^"]+)"', page)
            assert token is not None
            form = {"csrf_token": token[1], "username": "admin", "password": PASSWORD, "next": ""}
            began = time.monotonic()
            answer = await http.post("/login", data=form, headers={"Origin": self.url, "Accept": "application/json"})
            return _answer(answer, began)

    async def log_in_together(self, count: int) -> list[Answer]:
        """Log in so often at once."""
        return await asyncio.gather(*(self.log_in() for _ in range(count)))

    async def get(self, path: str, **headers: str) -> Answer:
        """Ask for a page's data; nobody's unless ``headers`` say whose."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=CEILING_S) as http:
            began = time.monotonic()
            return _answer(await http.get(path, headers={"Accept": "application/json", **headers}), began)

    async def get_together(self, path: str, headers: Sequence[dict[str, str]]) -> list[Answer]:
        """Ask for a page so often at once, each time as somebody else, with one client: making one takes a while."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=CEILING_S) as http:

            async def ask(shown: dict[str, str]) -> Answer:
                began = time.monotonic()
                return _answer(await http.get(path, headers={"Accept": "application/json", **shown}), began)

            return await asyncio.gather(*(ask(shown) for shown in headers))

    async def metric(self, name: str) -> float:
        """Return a metric without labels, by its whole name."""
        async with httpx2.AsyncClient(base_url=self.url, timeout=CEILING_S) as http:
            text = (await http.get("/metrics")).text
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    async def healthy(self, wanted: bool) -> float:
        """Wait until health says so; return how long that took, seconds."""
        began, status = time.monotonic(), 200 if wanted else 503
        # Health is asked, as an orchestrator does; nothing tells when it changes.
        await eventually(lambda: self.get("/healthz"), lambda answer: answer.status == status, ceiling_s=CEILING_S)
        return time.monotonic() - began

    def logged(self, *events: str) -> list[str]:
        """Return the log's lines of these events so far, in order."""
        return [line["event"] for line in self.service.log() if line.get("event") in events]

    async def rows(self, query: str, *arguments: object) -> Sequence[Any]:
        """Ask the database itself."""
        connection = await asyncpg.connect(self.database_url)
        try:
            return list(await connection.fetch(query, *arguments))
        finally:
            await connection.close()

    @contextlib.asynccontextmanager
    async def live(self, headers: dict[str, str] | None = None) -> AsyncIterator[Live]:
        """Open a socket as the administrator, in a market room and a public one."""
        given = self.headers if headers is None else headers
        async with websockets.connect(self.socket_url, additional_headers=given, open_timeout=CEILING_S) as socket:
            made = Live(socket)
            reading = asyncio.create_task(made.read())
            try:
                rooms = [ROOM] if headers is not None else ["market:AAPL", ROOM]
                for room in rooms:
                    await socket.send(json.dumps({"type": "subscribe", "id": room, "room_id": room}))
                for room in rooms:
                    reply = await made.until(lambda room=room: made.replies.get(room))
                    assert reply["ok"] is True, reply
                yield made
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


@contextlib.contextmanager
def database_site(folder: Path, *options: str, **more: str) -> Iterator[DatabaseSite]:
    """Run Postgres with ``options`` and the platform over it, with an administrator who is logged in."""
    with postgres_process("max_connections=24", *options) as postgres:
        url = asyncio.run(create_database(postgres.url))
        values = settings(folder, TIDEWIRE_DATABASE_URL=url, TIDEWIRE_ALLOW_ANONYMOUS="true", **more)
        done = run_command("migrate", values=values, cwd=folder)
        assert done.returncode == 0, done.stderr
        add_admin(values, folder)
        with serving(values, folder) as (service, address):
            visit = log_in_over_http(address, "admin", PASSWORD)
            yield DatabaseSite(postgres, service, address, url, visit.cookie)


def _answer(answer: httpx2.Response, began: float) -> Answer:
    took_s = time.monotonic() - began
    is_json = "json" in answer.headers.get("content-type", "")
    return Answer(answer.status_code, answer.json() if is_json else {}, dict(answer.headers), took_s)
