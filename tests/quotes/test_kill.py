"""kill -9 of Postgres and of the server while several people edit: no acknowledged edit is lost, none is done twice.

reliability.md bar R13, bounded; the writers do what docs/quotes.md says: the same request with the same key until it is
answered. Everything is real: the server process, its Postgres, HTTP.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Service
from tests.support.population import Population, populate_database
from tests.support.postgres import PostgresProcess, create_database, postgres_process
from tests.support.served import settings
from tidewire.quotes.editing import index_of, replayed
from tidewire.store.database import Database
from tidewire.store.quotes import Quotes

FIELDS = ("notes", "driver_name", "vehicle_make", "vehicle_model")
# Each is killed this often (the bar asks for 50); so many edits are acknowledged before each kill.
KILLS = int(os.environ.get("TEST_QUOTE_KILLS", "2"))
EDITS_BETWEEN = 8
CEILING_S = 120.0
BASIC = {"customer_name": "Grace Hopper", "state": "CA", "product": "personal_auto"}


@dataclass
class Site:
    """A server that is killed and started again, on another port each time."""

    url: str
    folder: Path
    people: Population
    service: Service | None = None
    port: int = 0
    kills: int = 0
    up: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start, and return when it serves."""
        values = settings(self.folder, TIDEWIRE_DATABASE_URL=self.url)
        self.service = Service("serve", values=values, cwd=self.folder)
        self.port = int(str(self.service.logged("serving")["url"]).rsplit(":", 1)[1])
        self.up.set()

    def kill(self) -> None:
        """kill -9."""
        assert self.service is not None
        self.up.clear()
        self.service.kill()
        self.kills += 1

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Send one request. Raises OSError or HTTPException if there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            given = {"Authorization": f"Bearer {self.people.key}", "Content-Type": "application/json"}
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, None if body is None else json.dumps(body), {**given, **named})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(text)
        finally:
            connection.close()


class Writers:
    """Threads that edit one quote, each its own field, until they are told to stop."""

    def __init__(self, site: Site, quote_id: str) -> None:
        self._site = site
        self._path = f"/api/v1/quotes/{quote_id}"
        self._told = threading.Condition()
        self._stop = False
        self.acked: dict[str, tuple[str, str]] = {}
        self.repeated = 0
        self.unanswered = 0
        self.refused: dict[int, int] = {}
        self.failure: BaseException | None = None
        self._threads = [threading.Thread(target=self._run, args=(name,)) for name in FIELDS]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        """Return when so many more edits have been acknowledged."""
        with self._told:
            wanted = len(self.acked) + count
            done = self._told.wait_for(lambda: len(self.acked) >= wanted or self.failure is not None, CEILING_S)
        assert self.failure is None, self.failure
        assert done, (len(self.acked), wanted, self.refused)

    def _run(self, field_name: str) -> None:
        number = 0
        try:
            while not self._stop:
                number += 1
                self._edit(field_name, f"{field_name}-{number}", f"{field_name} {number}")
        except BaseException as exc:
            self.failure = exc
            raise

    def _edit(self, field_name: str, key: str, value: str) -> None:
        """Send one edit until it is answered; it is done when this returns."""
        deadline = time.monotonic() + CEILING_S
        while time.monotonic() < deadline:
            self._site.up.wait(CEILING_S)
            try:
                status, headers, _ = self._site.ask("GET", self._path)
                if status == 200:
                    body = {"fields": {field_name: value}}
                    match = headers["etag"]
                    status, _, _ = self._site.ask("PATCH", self._path, body, If_Match=match, Idempotency_Key=key)
                    if status == 200:
                        with self._told:
                            self.acked[key] = (field_name, value)
                            self._told.notify_all()
                        return
                self.refused[status] = self.refused.get(status, 0) + 1
                assert status in (412, 503), status
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
        raise AssertionError(f"{key} was never answered")


@contextmanager
def running(server: PostgresProcess, folder: Path) -> Iterator[Site]:
    """Run a server over a database of its own."""
    url = asyncio.run(create_database(server.url))
    site = Site(url, folder, populate_database(url, 1))
    site.start()
    try:
        yield site
    finally:
        site.kill()


async def _stored(url: str, quote_id: str) -> tuple[Any, list[Any]]:
    database = Database(url)
    try:
        quotes = Quotes(database, index_of)
        return await quotes.get(quote_id), await quotes.changes(quote_id)
    finally:
        await database.stop()


@pytest.mark.timeout(300 + 60 * KILLS)
def test_no_acknowledged_edit_is_lost_or_done_twice(tmp_path: Path) -> None:
    """After kills of both, each acknowledged edit is in the changes exactly once and in order, and nothing else is."""
    with postgres_process("max_connections=40") as server, running(server, tmp_path) as site:
        status, _, made = site.ask("POST", "/api/v1/quotes", {"fields": BASIC})
        assert status == 201, made
        quote_id = made["quote_id"]
        with Writers(site, quote_id) as writers:
            for _ in range(KILLS):
                writers.wait_for_more(EDITS_BETWEEN)
                server.kill()
                server.start()
                writers.wait_for_more(EDITS_BETWEEN)
                site.kill()
                site.start()
            writers.wait_for_more(EDITS_BETWEEN)
        assert writers.failure is None, writers.failure
        quote, changes = asyncio.run(_stored(site.url, quote_id))
    edits = [change for change in changes if change.op_id is not None]
    assert sorted(change.op_id for change in edits) == sorted(writers.acked)
    assert all(writers.acked[change.op_id] == (change.field, change.after) for change in edits)
    for name in FIELDS:
        numbers = [int(change.after.rsplit(" ", 1)[1]) for change in edits if change.field == name]
        assert numbers == list(range(1, len(numbers) + 1))
    again = replayed(quote_id, changes)
    assert (again.version, again.fields) == (quote.version, quote.fields)
    assert writers.unanswered > 0
    print(f"acked {len(writers.acked)}, unanswered {writers.unanswered}, refused {writers.refused}")  # noqa: T201
