"""Those who watch: official Socket.IO clients in Node, and headless Chromium. It must not know what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, sync_playwright
from tests.support.chromium import ARGUMENTS, chromium_path
from tests.support.official_client import FRONTEND, INSTALLED, NODE

from bench.stand import ROOT, Program, Stand, program


class Viewers:
    """Admins with the official client, all in one process."""

    def __init__(self, running: Program) -> None:
        self._running = running

    @property
    def pid(self) -> int:
        """The process."""
        return self._running.pid

    def open(self, stand: Stand, count: int) -> None:
        """Connect; return when all of them watch with batches on."""
        answer = self._running.ask(op="open", count=count, url=stand.url, cookie=stand.cookie)
        assert answer == {"open": count}, answer

    def start(self) -> None:
        """Forget what was measured so far."""
        self._running.ask(op="start")

    def stop(self) -> dict[str, Any]:
        """Return latencies of the first viewer (milliseconds) and ticks, dropped, batches of all since ``start``."""
        return self._running.ask(op="stop")

    def close(self) -> None:
        """Disconnect all."""
        self._running.ask(op="close")


@contextmanager
def viewers() -> Iterator[Viewers]:
    """Start Node with the clients, none of them connected yet."""
    if not INSTALLED:
        raise RuntimeError("socket.io-client is not in frontend/node_modules: run `make setup`")
    with program(str(ROOT / "bench" / "viewers.mjs"), str(FRONTEND), command=NODE) as running:
        yield Viewers(running)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run headless Chromium."""
    with sync_playwright() as playwright:
        # ARGUMENTS name --headless themselves; Playwright would add its own older spelling of it.
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(ARGUMENTS), headless=True)
        try:
            yield browser
        finally:
            browser.close()


def logged_in(browser: Browser, stand: Stand) -> BrowserContext:
    """Return a fresh browser context (empty cache) that holds the stand's session."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    name, _, value = stand.cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": stand.url}])
    return context
