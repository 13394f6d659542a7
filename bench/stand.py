"""The stand on which the benchmarks run: venue and platform as processes of their own, an admin who is logged in.

Everything listens on 127.0.0.1, lives in a temporary directory and ends with the ``with`` block. It must not measure.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from bench.venue import LINES, symbols

ROOT = Path(__file__).resolve().parents[1]
TICKERS_PER_LINE = 120
USERNAME, PASSWORD = "admin", "bench-" + secrets.token_hex(8)
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0


class Program:
    """A child process that is told and tells things line by line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._unread = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def write(self, **command: object) -> None:
        """Send one line of JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, timeout_s: float = START_TIMEOUT_S, **command: object) -> dict[str, Any]:
        """Send one line and return the line that answers it."""
        self.write(**command)
        answer: dict[str, Any] = json.loads(self.read_line(timeout_s))
        return answer

    def read_line(self, timeout_s: float = START_TIMEOUT_S) -> str:
        """Return the next line of its standard output. Raises RuntimeError if it ends, or says nothing in time."""
        assert self._process.stdout is not None
        until = time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))
            piece = os.read(self._process.stdout.fileno(), 1 << 20) if ready else b""
            if not piece:
                raise RuntimeError(f"{self._process.args!r} {'ended' if ready else f'said nothing in {timeout_s:g} s'}")
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()


@contextmanager
def program(
    *arguments: str, command: str = sys.executable, env: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[Program]:
    """Run a program; at the end ask it to terminate, and after a while kill it.

    Args:
        log: Where its standard error goes; to this program's own by default.
    """
    with ExitStack() as stack:
        process = subprocess.Popen(
            [command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if log is None else stack.enter_context(log.open("wb")),
            env=env or child_environment(),
            cwd=ROOT,
        )
        try:
            yield Program(process)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def child_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without its settings of Tidewire and without proxies, plus ``more``."""
    ours = ("TIDEWIRE_", "WEBSOCKET_CONNECTION", "USE_", "MASSIVE_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours) and "proxy" not in k.lower()}
    return {**kept, **more}


@dataclass(frozen=True, slots=True)
class Stand:
    """A platform that runs.

    Attributes:
        url: Where its pages are.
        cookie: ``name=value`` of an administrator's session.
        people: The same of further administrators.
        server: Its process.
        venue: The process that sends trades.
    """

    url: str
    cookie: str
    server: Program
    venue: Program
    people: tuple[str, ...] = ()


@contextmanager
def stand(rate: float, *server: str, people: int = 0) -> Iterator[Stand]:
    """Run a venue of ``rate`` trades a second on three lines, and a platform that reads them.

    Args:
        server: Python arguments of the platform; ``tidewire serve`` by default.
        people: How many further administrators there are; some limits count by user.
    """
    names = (USERNAME, *(f"{USERNAME}{number}" for number in range(people)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidewire-bench-")))
        venue = stack.enter_context(program("-m", "bench.venue", "--rate", str(rate)))
        port = int(venue.read_line())
        env = platform_environment(folder, f"ws://127.0.0.1:{port}/stocks")
        for name in names:
            subprocess.run(
                [sys.executable, "-m", "tidewire", "user", "add", name, "--role", "admin", "--password-stdin"],
                input=PASSWORD.encode() + b"\n", env=env, cwd=folder, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        log = folder / "server.log"
        running = stack.enter_context(program(*(server or ("-m", "tidewire", "serve")), env=env, log=log))
        url = url_from_log(log)
        wait_until_connected(url, cookie := log_in(url))
        yield Stand(url, cookie, running, venue, tuple(log_in(url, name) for name in names[1:]))


def url_from_log(log: Path) -> str:
    """Return the URL that the platform logs once it serves. Raises RuntimeError with the log if it does not."""
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        for line in log.read_text().splitlines():
            if line.startswith("{") and (event := json.loads(line))["event"] == "serving":
                return str(event["url"])
        time.sleep(0.05)
    raise RuntimeError(f"the platform did not serve within {START_TIMEOUT_S:g} s; its log:\n{log.read_text()}")


def platform_environment(folder: Path, feed_url: str) -> dict[str, str]:
    """Return the settings of ``tidewire serve``: three lines, SQLite in ``folder``, in-process bus, a free port."""
    env = child_environment(
        USE_MASSIVE_API="true",
        MASSIVE_API_KEY="bench-key",
        TIDEWIRE_FEED_URL=feed_url,
        TIDEWIRE_DATABASE_URL=f"sqlite+aiosqlite:///{folder}/bench.db",
        TIDEWIRE_SECRET_KEY=secrets.token_urlsafe(48),
        TIDEWIRE_PORT="0",
        TIDEWIRE_LOG_LEVEL="info",
        TIDEWIRE_LOG_FORMAT="json",
    )
    for line in range(LINES):
        prefix = f"WEBSOCKET_CONNECTION_{line + 1}"
        env[f"{prefix}_ENABLED"] = "true"
        env[f"{prefix}_SYMBOLS"] = ",".join(symbols(line, TICKERS_PER_LINE))
    return env


def log_in(url: str, username: str = USERNAME) -> str:
    """Log in through the form; return ``name=value`` of the session cookie."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar))
    with opener.open(f"{url}/login", timeout=START_TIMEOUT_S) as page:
        text = page.read().decode()
    token = text.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = urllib.parse.urlencode({"csrf_token": token, "username": username, "password": PASSWORD, "next": ""})
    opener.addheaders.append(("Origin", url))
    opener.open(f"{url}/login", form.encode(), timeout=START_TIMEOUT_S).close()
    return next(f"{cookie.name}={cookie.value}" for cookie in jar if cookie.name.endswith("session"))


def wait_until_connected(url: str, cookie: str) -> None:
    """Return once all lines are connected and have brought ticks. Raises RuntimeError after a while."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.addheaders.append(("Cookie", cookie))
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        with opener.open(f"{url}/api/admin/websocket-status", timeout=START_TIMEOUT_S) as answer:
            lines = json.load(answer)["connections"].values()
        if lines and all(line["status"] == "connected" and line["message_count"] for line in lines):
            return
        time.sleep(0.1)
    raise RuntimeError(f"the lines did not bring ticks within {START_TIMEOUT_S:g} s")
