"""The platform as an operator runs it: ``tidewire serve`` and ``tidewire feed`` with settings from the environment."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from tests.support.command import Service, run_command

SECRET = "a secret of more than thirty-two bytes, for tests only"
PASSWORD = "four unrelated words"
USERS = {"admin": PASSWORD}


def settings(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a small platform: two synthetic lines, SQLite in ``folder``, any free port."""
    return {
        "USE_SYNTHETIC_DATA": "true",
        "WEBSOCKET_CONNECTIONS_MAX": "2",
        "WEBSOCKET_CONNECTION_1_ENABLED": "true",
        "WEBSOCKET_CONNECTION_1_NAME": "first",
        "WEBSOCKET_CONNECTION_1_SYMBOLS": "AAPL,MSFT",
        "WEBSOCKET_CONNECTION_2_ENABLED": "true",
        "WEBSOCKET_CONNECTION_2_NAME": "second",
        "WEBSOCKET_CONNECTION_2_SYMBOLS": "TSLA",
        "TIDEWIRE_SYNTHETIC_TICKS_PER_SECOND": "20",
        "TIDEWIRE_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'tidewire.db'}",
        "TIDEWIRE_SECRET_KEY": SECRET,
        "TIDEWIRE_PORT": "0",
        "TIDEWIRE_LOG_FORMAT": "json",
        **more,
    }


def add_admin(values: Mapping[str, str], folder: Path) -> None:
    """Add the user of ``USERS``."""
    done = run_command(
        "user", "add", "admin", "--role", "admin", "--password-stdin", values=values, cwd=folder, given=PASSWORD
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def serving(values: Mapping[str, str], folder: Path, *options: str) -> Iterator[tuple[Service, str]]:
    """Run ``tidewire serve`` until the block ends; yield it and its URL. It must end with exit code 0."""
    with Service("serve", *options, values=values, cwd=folder) as service:
        yield service, str(service.logged("serving")["url"])
    assert service.process.returncode == 0, service.err[-20:]


@dataclass(frozen=True)
class Visit:
    """Somebody logged in without a browser.

    Attributes:
        cookie: The session's.
    """

    url: str
    cookie: str
    _opener: urllib.request.OpenerDirector

    @property
    def headers(self) -> dict[str, str]:
        """What a program sends to open a socket as this user; a browser sends both by itself."""
        return {"Cookie": f"tidewire_session={self.cookie}", "Origin": self.url}

    def status(self) -> dict[str, Any]:
        """Return what the status API says."""
        with self._opener.open(f"{self.url}/api/admin/websocket-status", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


def log_in_over_http(url: str, username: str, password: str) -> Visit:
    """Send the login form as a browser would, and keep the session."""
    jar = CookieJar()
    opener = urllib.request.build_opener(
        urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({}), _Stay()
    )
    with opener.open(f"{url}/login", timeout=60) as page:
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.read().decode())
    assert token is not None
    form = {"csrf_token": token[1], "username": username, "password": password, "next": ""}
    body = urllib.parse.urlencode(form).encode()
    request = urllib.request.Request(f"{url}/login", body, {"Origin": url})
    with opener.open(request, timeout=60) as answer:
        assert answer.status == 303
    session = next(cookie for cookie in jar if cookie.name == "tidewire_session")
    return Visit(url, str(session.value), opener)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: where a login leads is not asked here."""

    def http_error_303(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Take the answer as it is."""
        return fp
