"""A page in Chromium on the real server in this process, logged in as somebody, and axe over it.

Any script error or breach of the content security policy in any page fails the test.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.axe import SCRIPT
from tests.support.chromium import ARGUMENTS, chromium_path
from tests.support.platform import Served, served

# A ceiling, not a delay.
CEILING_MS = 45_000
# What Chromium says by itself about a server that is gone, or a page that is refused.
LOUD = re.compile(r"WebSocket connection to .* failed|Failed to load resource|ERR_CONNECTION_REFUSED")


class Visitor:
    """Opens pages of one browser on one server; any script error or breach of the policy is a problem.

    Attributes:
        problems: What went wrong in any of its pages.
    """

    def __init__(self, browser: Browser, server: Served) -> None:
        self._browser = browser
        self.server = server
        self.problems: list[str] = []

    async def open(self, path: str, username: str, **context: Any) -> Page:
        """Return a page as somebody who is logged in sees it."""
        chosen = {"viewport": {"width": 1440, "height": 900}, "locale": "en", "timezone_id": "UTC", **context}
        opened = await self._browser.new_context(**chosen)
        await opened.add_cookies(
            [{"name": "tidewire_session", "value": self.server.cookies[username], "url": self.server.origin}]
        )
        page = await opened.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on(
            "console",
            lambda line: (
                self.problems.append(line.text) if line.type == "error" and not LOUD.search(line.text) else None
            ),
        )
        await page.goto(f"{self.server.origin}{path}")
        return page


_Visitor = TypeVar("_Visitor", bound=Visitor)


async def axe(page: Page) -> list[str]:
    """Return the accessibility violations of the page as it is now."""
    # Debugger access, not a script element: the page's policy rightly refuses the latter.
    session = await page.context.new_cdp_session(page)
    await session.send("Runtime.evaluate", {"expression": SCRIPT.read_text(encoding="utf-8")})
    found = await page.evaluate("async () => (await axe.run()).violations.map(v => v.id + ' ' + v.nodes[0].html)")
    return list(found)


@asynccontextmanager
async def browsing(kind: type[_Visitor], server: Served) -> AsyncIterator[_Visitor]:
    """Run a browser on a server, and yield a visitor of that kind."""
    expect.set_options(timeout=CEILING_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=list(ARGUMENTS))
        try:
            visitor = kind(browser, server)
            yield visitor
        finally:
            await browser.close()
    assert visitor.problems == []


@asynccontextmanager
async def visiting(folder: Path, kind: type[_Visitor], **settings: Any) -> AsyncIterator[_Visitor]:
    """Run a server and a browser, and yield a visitor of that kind."""
    async with served(folder, **settings) as server, browsing(kind, server) as visitor:
        yield visitor
