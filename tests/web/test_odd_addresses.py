"""Pages whose address asks for what cannot be, in Chromium: refused in words, with all that was asked and a way on."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Request, expect

from tests.support.page_visit import Visitor, axe, visiting

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90), pytest.mark.long]
NOT_THE_PAGE = re.compile("/static/|/api/v1/admin/alerts")
# Address -> what of it is named.
REFUSED = {
    "/admin/connections?sort=banana": "sort=banana (it is one of username,",
    "/admin/rooms?order=up&prefix=market:": "order=up (it is one of asc, desc)",
    "/admin/activity?since=banana": "since=banana (no possible value)",
    "/admin/alerts?severity=a&severity=b": "severity=a, severity=b (given more than once",
    "/admin/users?role=king": "role=king (it is one of user, moderator, admin, super)",
    "/admin/bans?cursor=3": "cursor=3 (this page knows no such name)",
    "/analytics?hours=0": "hours=0 (no possible value)",
    "/admin?dashboards=mine": "dashboards=mine (this page knows no such name)",
    "/admin/trace?user=a&room=b": "room=b (this page knows no such name)",
    "/admin/websockets?symbol=AAPL": "symbol=AAPL (this page knows no such name)",
}


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    """A browser on a server, for somebody who may look at everything."""
    async with visiting(tmp_path, Visitor) as found:
        rights = {"analytics:read", "audit:read", "users:manage", "quote:view"}
        await found.server.accounts.change_user("ada", grants=frozenset(rights))
        await found.server.log_in("ada")
        yield found


async def test_every_page_refuses_an_address_that_asks_for_what_cannot_be(visitor: Visitor) -> None:
    """Nothing is asked of the server and nothing shown; without it the page goes on. What the API refuses is said."""
    page = await visitor.open("/admin/connections?colour=blue&text=bob", "ada")
    strip = page.get_by_test_id("banner-address")
    await expect(strip).to_contain_text("colour=blue (this page knows no such name)")
    await expect(strip).to_contain_text("Asked for: colour=blue, text=bob.")
    await expect(strip).to_contain_text("Tidewire will not leave it out by itself")
    assert await axe(page) == []
    await page.get_by_test_id("address-rest").click()
    await expect(page).to_have_url(re.compile(r"connections\?text=bob$"))
    await expect(page.get_by_test_id("filter-text")).to_have_value("bob")
    await expect(page.get_by_test_id("empty")).to_be_visible()
    asked: list[str] = []

    def note(request: Request) -> None:
        # Alerts that fire are told on every page, whatever else it shows.
        if request.resource_type in ("fetch", "websocket") and not NOT_THE_PAGE.search(request.url):
            asked.append(request.url)

    page.on("request", note)
    for path, named in REFUSED.items():
        await page.goto(f"{visitor.server.origin}{path}")
        await expect(page.get_by_test_id("banner-address")).to_contain_text(named)
        await expect(page.get_by_test_id("filter")).to_have_count(0)
    assert asked == []
    await page.goto(f"{visitor.server.origin}/quotes?status=nope&state=CA")
    await expect(page.get_by_test_id("banner-refused")).to_contain_text("Asked for: state=CA, status=nope.")
    await expect(page.get_by_test_id("banner-refused")).to_contain_text("There is no such status.")
    await page.get_by_test_id("refused-clear").click()
    await expect(page).to_have_url(re.compile(r"/quotes$"))
    await expect(page.get_by_test_id("banner-refused")).to_have_count(0)
    await page.goto(f"{visitor.server.origin}/admin/rooms?text={'x' * 201}")
    await expect(page.get_by_test_id("banner-refused")).to_contain_text("text: String should have at most 200")
    await page.get_by_test_id("refused-clear").click()
    await expect(page).to_have_url(re.compile(r"/admin/rooms$"))
    await expect(page.get_by_test_id("banner-refused")).to_have_count(0)
    for path in ("/admin/connections", "/admin/rooms"):
        await page.goto(f"{visitor.server.origin}{path}?node=nope")
        await expect(page.get_by_test_id("banner-refused")).to_contain_text("There is no node 'nope'.")
        await expect(page.locator("[data-part=skeleton]")).to_be_hidden()
        await page.get_by_test_id("refused-clear").click()
        await expect(page).to_have_url(re.compile(rf"{path}$"))
        await expect(page.get_by_test_id("banner-refused")).to_have_count(0)
