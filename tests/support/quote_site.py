"""A whole web process in a thread of its own, for tests that drive a browser: people logged in, quotes over HTTP.

Playwright's loop and the platform's cannot share a thread. What a test wants of the platform runs in its own loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect

from tests.support.browser import Complaints, Visitors
from tests.support.fault_proxy import FaultProxy
from tests.support.platform import Served, served
from tests.support.population import DIRECT

T = TypeVar("T")
START_S = 40.0
BASIC: Mapping[str, Any] = {"customer_name": "Grace Hopper", "state": "CA", "product": "personal_auto"}
# With these a premium can be calculated.
RATED: Mapping[str, Any] = {
    "coverage_liability": "100/300/100",
    "vehicle_make": "Subaru",
    "vehicle_model": "Outback",
    "vehicle_year": 2021,
    "vehicle_value": "25000.00",
    "annual_mileage": 9000,
    "driver_name": "Grace Hopper",
    "driver_birth_date": "1986-12-09",
    "driver_licensed_years": 20,
    "driver_incidents": 0,
}


@dataclass(frozen=True)
class QuoteSite:
    """A running process; see the module's text."""

    served: Served
    loop: asyncio.AbstractEventLoop
    proxy: FaultProxy

    @property
    def url(self) -> str:
        """Where people open it: before the process stands the network."""
        return f"http://127.0.0.1:{self.proxy.port}"

    @contextmanager
    def offline(self, page: Page) -> Iterator[None]:
        """Be without a network until the block ends: the browser knows, and every connection is cut."""
        page.context.set_offline(True)
        # Chromium lets open sockets live when it is told that there is no network.
        self.loop.call_soon_threadsafe(self.proxy.reset)
        try:
            yield
        finally:
            page.context.set_offline(False)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the platform's loop; return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(START_S)

    @contextmanager
    def denied(self, username: str, *permissions: str) -> Iterator[None]:
        """Take permissions from somebody until the block ends."""
        self.call(self.served.accounts.change_user(username, actor="test", denials=frozenset(permissions)))
        try:
            yield
        finally:
            self.call(self.served.accounts.change_user(username, actor="test", denials=frozenset()))

    @contextmanager
    def logged_out(self, username: str) -> Iterator[None]:
        """End somebody's login until the block ends; then there is a new one."""
        self.call(self.served.accounts.log_out(self.served.cookies[username]))
        try:
            yield
        finally:
            self.call(self.served.log_in(username))

    def end_sockets(self, username: str, code: int | None = None) -> None:
        """Close every socket of somebody with a code; without one, what they were opened with expires now."""

        async def end() -> None:
            board = self.served.side.hub._board
            for session in list(board.registry):
                if session.principal is None or session.principal.username != username:
                    continue
                if code is None:
                    session.lifecycle.extend(time.time())
                    board.remind(session)
                else:
                    board.close(session, code)

        self.call(end())

    def profile(self, username: str) -> dict[str, Any]:
        """Return the state of a browser in which somebody is logged in."""
        cookie = {
            "name": "tidewire_session",
            "value": self.served.cookies[username],
            "domain": str(urlsplit(self.url).hostname),
            "path": "/",
            "expires": -1,
            "httpOnly": True,
            "secure": False,
            "sameSite": "Lax",
        }
        return {"cookies": [cookie], "origins": []}

    def ask(self, method: str, path: str, body: object = None, username: str = "ada", **headers: str) -> dict[str, Any]:
        """Send a request of somebody's browser to the quotes' API; return the answer."""
        given = {"Content-Type": "application/json", **self.served.headers(username), "Origin": self.url, **headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.served.origin}/api/v1/quotes{path}", data, given, method=method)
        try:
            with DIRECT.open(request, timeout=20) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{method} {path}: {refused.code} {refused.read().decode()}") from refused
        return found

    def make(self, username: str = "ada", **fields: Any) -> str:
        """Make a quote; return its number."""
        number: str = self.ask("POST", "", {"fields": {**BASIC, **fields}}, username)["quote_id"]
        return number

    def patch(self, quote_id: str, username: str = "ada", **fields: Any) -> dict[str, Any]:
        """Change fields as somebody whose page is elsewhere."""
        version = self.ask("GET", f"/{quote_id}")["version"]
        return self.ask("PATCH", f"/{quote_id}", {"fields": fields}, username, **{"If-Match": f'"{version}"'})


@contextmanager
def quote_site(folder: Path, **settings: Any) -> Iterator[QuoteSite]:
    """Run a process until the block ends."""
    ready: Future[QuoteSite] = Future()
    over: Future[asyncio.Event] = Future()

    async def run() -> None:
        end = asyncio.Event()
        over.set_result(end)
        # The network is there first, so that the process knows the address under which people open it.
        async with FaultProxy(0) as proxy:
            origin = f"http://127.0.0.1:{proxy.port}"
            async with served(folder, allowed_origins=(origin,), **settings) as made:
                proxy.target = made.port
                ready.set_result(QuoteSite(made, asyncio.get_running_loop(), proxy))
                await end.wait()

    def work() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=work, name="quote-site")
    thread.start()
    try:
        site = ready.result(START_S)
        yield site
    finally:
        if ready.done() and ready.exception() is None:
            site.loop.call_soon_threadsafe(over.result().set)
        thread.join(START_S)


class QuoteVisitors:
    """People's browsers on one site."""

    def __init__(self, browser: Browser, site: QuoteSite, complaints: Complaints) -> None:
        self.site = site
        self._visitors = Visitors(browser, site.url, {}, complaints)

    def page(self, username: str, **options: Any) -> Page:
        """Return an empty page of somebody's browser."""
        return self._visitors.open(self.site.profile(username), **options)

    def open(self, username: str, quote_id: str, **options: Any) -> Page:
        """Return somebody's page of a quote, live and filled."""
        page = self.page(username, **options)
        page.goto(f"/quotes/{quote_id}")
        expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        expect(page.get_by_test_id("quote")).to_be_visible()
        return page

    def close(self) -> None:
        """Close every browser."""
        self._visitors.close()


def rated() -> dict[str, Any]:
    """Return what a quote needs before its premium can be calculated."""
    return {**RATED, "effective_date": (datetime.now(UTC).date() + timedelta(days=30)).isoformat()}


def field(page: Page, name: str) -> Locator:
    """Return a field of the form, with its note and what stands below it."""
    return page.locator(f'[data-testid=field][data-field="{name}"]')


def control(page: Page, name: str) -> Locator:
    """Return a field's input."""
    return field(page, name).get_by_test_id("control")


def stored(page: Page) -> None:
    """Wait until nothing of the page's own is waiting any more."""
    expect(page.get_by_test_id("waiting")).to_have_attribute("data-waiting", "0")
