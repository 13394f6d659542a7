"""A real server process with a population of users, and what a test or a bench asks of it."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command import Service
from tests.support.crowd import Crowd, Guest
from tests.support.population import DIRECT, Population
from tests.support.served import settings
from tidewire.store.bulkhead import BACKGROUND, PROBE, REQUESTS

ROOM = "app:hall"
BLOCK_S = 3.0
# Half handshakes are cut after 10 s, closing ones after 2 s, and absences are held back for a while.
SETTLE_S = 30.0
# Database connections: full pools from the start, and once they have written, those that whole transactions of the two
# uses that write have to a SQLite file.
POOLED = sum(limits.connections for limits in (REQUESTS, BACKGROUND, PROBE))
WRITERS = 2


@dataclass(frozen=True)
class House:
    """A server process and its people."""

    service: Service
    port: int
    people: Population

    def guests(self, crowd: Crowd, count: int, room_id: str = ROOM) -> list[Guest]:
        """Let guests of as few users as possible into a room."""
        guests = crowd.arrive(self.port, self.people.headers(self.port, count))
        assert all(guest.close_code is None and not guest.ended for guest in guests)
        crowd.enter(guests, room_id)
        return guests

    def publish(self, data: object, room_id: str = ROOM) -> int:
        """Publish over HTTP; return the offset."""
        offset: int = self.people.publish(self.port, room_id, data)["offset"]
        return offset

    def get(self, path: str, user: int | None = None) -> tuple[int, str]:
        """Return status and text of a page, as one of the users sees it or as nobody does."""
        headers = {} if user is None else self.people.headers_of(self.port, user)
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with DIRECT.open(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, ""

    def metric(self, name: str) -> float:
        """Return a metric; labels belong to its name."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    def holdings(self) -> dict[str, Any]:
        """Return what the server process holds now."""
        said = len(self.service.out)
        self.service.process.send_signal(signal.SIGUSR1)
        found: dict[str, Any] = json.loads(self.service.said(said))
        return found

    def settled(self, so: Callable[[dict[str, Any]], bool], *, within_s: float = SETTLE_S) -> dict[str, Any]:
        """Return what the server holds once that is ``so``, or what it holds after ``within_s``."""
        deadline = time.monotonic() + within_s
        while not so(found := self.holdings()) and time.monotonic() < deadline:
            # No event says that a server has come to rest; the wait also ends with the process itself.
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise AssertionError(f"it ended with {self.service.process.wait(0.1)}")
        return found


def pooled(holdings: dict[str, Any]) -> int:
    """Return how many database connections (of SQLite) there are."""
    return sum(file.endswith(".db") for file in holdings["files"])


def without_pool(holdings: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not exactly the same twice.

    These are memory, and the files of pooled database connections: a pool keeps as many as were ever needed at once.
    """
    counted = {name: value for name, value in holdings.items() if name != "memory"}
    return counted | {"files": [file for file in holdings["files"] if ".db" not in file]}


@contextmanager
def housing(people: Population, folder: Path, *words: str, code: int = 0, **more: str) -> Iterator[House]:
    """Run the server until the block ends; it must then end with that exit code. ``more``: settings."""
    values = settings(folder, **more)
    module = "tests.support.probed_serve"
    with Service(str(BLOCK_S), *words, values=values, cwd=folder, module=module) as service:
        url = str(service.logged("serving")["url"])
        service.announcement()
        yield House(service, int(re.sub(r".*:", "", url)), people)
    assert service.process.returncode == code, service.err[-20:]
