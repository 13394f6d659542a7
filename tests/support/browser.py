"""Chromium as a person's browser: one process per package, one profile per test, and nothing that it complains about.

Every console error, uncaught exception, violation of the Content-Security-Policy and request to another host fails the
test in which it happens, unless the test says beforehand that it is to be expected.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    WebError,
    expect,
    sync_playwright,
)

from tests.support.chromium import ARGUMENTS, chromium_path

# A ceiling, not a delay: what is waited for is waited for as an event of the page.
CEILING_MS = 45_000
DESKTOP = {"width": 1440, "height": 900}
# Tells of policy violations that are reported to the document only.
_REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`CSP ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));"""


class Complaints:
    """What the browser complained about in one test."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._expected: list[re.Pattern[str]] = []

    def expect(self, pattern: str) -> None:
        """Let complaints pass that match; a test that breaks something on purpose says so with this."""
        self._expected.append(re.compile(pattern))

    @property
    def unexpected(self) -> list[str]:
        """What no test asked for."""
        return [text for text in self.found if not any(pattern.search(text) for pattern in self._expected)]

    def watch(self, context: BrowserContext, host: str) -> None:
        """Listen to every page of ``context``; requests may go to ``host`` (``127.0.0.1:8000``) only."""

        def console(message: ConsoleMessage) -> None:
            if message.type == "error":
                self.found.append(f"console: {message.text} {message.location.get('url', '')}")

        def failure(error: WebError) -> None:
            self.found.append(f"exception: {error.error}")

        def request(one: Request) -> None:
            parts = urlsplit(one.url)
            if parts.scheme not in ("data", "blob") and parts.netloc != host:
                self.found.append(f"foreign request: {one.url}")

        context.on("console", console)
        context.on("weberror", failure)
        context.on("request", request)
        context.add_init_script(_REPORT_VIOLATIONS)


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run the system's Chromium with a new, empty profile."""
    arguments = [argument for argument in ARGUMENTS if argument != "--headless"]
    with sync_playwright() as playwright:
        expect.set_options(timeout=CEILING_MS)
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=arguments, headless=True)
        try:
            yield browser
        finally:
            browser.close()


class Visitors:
    """Opens browsers' profiles on one server: anonymous, or logged in as somebody.

    Args:
        url: The server.
        users: Name -> password.
        complaints: Where every page's complaints go.
    """

    def __init__(self, browser: Browser, url: str, users: dict[str, str], complaints: Complaints) -> None:
        self._browser, self._users, self._complaints = browser, users, complaints
        self.url = url
        self._contexts: list[BrowserContext] = []

    def open(self, state: Any = None, **options: Any) -> Page:
        """Return a page of a new profile; ``state`` is what ``signed_in`` returned, ``options`` are Playwright's."""
        merged: dict[str, Any] = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", **options}
        context = self._browser.new_context(base_url=self.url, storage_state=state, **merged)
        context.set_default_timeout(CEILING_MS)
        self._complaints.watch(context, urlsplit(self.url).netloc)
        self._contexts.append(context)
        return context.new_page()

    def signed_in(self, username: str) -> Any:
        """Log in through the form and return the profile's state, for ``open``."""
        page = self.open()
        log_in(page, username, self._users[username])
        expect(page).not_to_have_url(re.compile("/login"))
        state = page.context.storage_state()
        page.context.close()
        return state

    def close(self) -> None:
        """Close every profile."""
        for context in self._contexts:
            context.close()


def log_in(page: Page, username: str, password: str, path: str = "/login") -> None:
    """Fill in the login form and send it."""
    page.goto(path)
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def open_feed(page: Page, query: str = "", columns: int = 3) -> Page:
    """Open the feed page and wait until it is live and every line is connected."""
    page.goto(f"/admin/websockets{query}")
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("column")).to_have_count(columns)
    # By status, not state: on a busy machine a line may be connected and degraded by its lag.
    expect(page.locator("[data-testid=column][data-status=connected]")).to_have_count(columns)
    return page


def column(page: Page, number: int) -> Locator:
    """Return one connection's column."""
    return page.locator(f'[data-testid=column][data-connection="connection_{number}"]')


def rows(place: Page | Locator) -> Locator:
    """Return the tick rows that are shown in a column, newest first."""
    return place.locator("tbody tr:not([hidden])")


def tick_ids(place: Page | Locator) -> list[int]:
    """Return the ids of the ticks that are shown, newest first, read in one moment."""
    found: list[str] = rows(place).evaluate_all("(rows) => rows.map((row) => row.dataset.tick)")
    return [int(one) for one in found]


def wait_until(page: Page, holds: Callable[[], bool], what: str, ceiling_ms: float = CEILING_MS) -> None:
    """Wait until ``holds``, asked after each frame that the page draws; for what Playwright has no expectation for."""
    deadline = time.monotonic() + ceiling_ms / 1000
    while not holds():
        assert time.monotonic() < deadline, f"it never came: {what}"
        # Lets Playwright deliver what came meanwhile; one drawn frame of the page passes.
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => drawn()))")
