"""The analytics page in Chromium on a real process, with quotes of known size in its database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from tests.support.analytics_rows import Made, put
from tests.support.page_visit import Visitor, visiting
from tidewire.store.database import Database


class Analyst(Visitor):
    """Looks at dashboards."""

    @property
    def database(self) -> Database:
        """The site's database."""
        return self.server.web.storage.requests

    async def look(self, query: str = "", username: str = "mod", **context: Any) -> Page:
        """Return the page, live, with figures or without any."""
        page = await self.open(f"/analytics{query}", username, **context)
        await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        await expect(page.get_by_test_id("skeleton")).to_be_hidden()
        return page

    async def figure(self, page: Page, name: str) -> str:
        """Return a figure as it stands on the page."""
        return await page.get_by_test_id(f"figure-{name}").locator("dd").inner_text()


@asynccontextmanager
async def analysing(folder: Path, quotes: Iterable[Made] = (), **settings: Any) -> AsyncIterator[Analyst]:
    """Yield an analyst of a server whose database has these quotes."""
    async with visiting(folder, Analyst, **settings) as analyst:
        await put(analyst.database, quotes)
        yield analyst
