"""The page of rooms in Chromium against the real server: what an operator sees, sorts, searches and follows."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support.page_visit import axe
from tests.web.test_connections_page import Operator, downloaded, operating
from tidewire.core.protocol import data_body

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    """An operator of a server of its own."""
    async with operating(tmp_path) as found:
        yield found


def row(page: Page, room_id: str) -> Locator:
    """Return a room's row."""
    return page.locator(f'tr[data-id="{room_id}"]')


async def names(page: Page) -> list[str]:
    """Return the rooms in the order in which they are shown."""
    return await page.get_by_test_id("rooms").locator(".list-name").all_inner_texts()


async def test_rooms_are_sorted_searched_and_followed_to_their_connections(operator: Operator) -> None:
    """Members, present, published, offset, history and rate are the hub's; the members' number leads to them."""
    crowd, site = operator.crowd, operator.server
    bob, mod = await crowd.arrive("bob", 3), await crowd.arrive("mod", 1)
    await crowd.enter(bob, "app:busy")
    await crowd.enter([bob[0], *mod], "app:calm")
    for number in range(56):
        await site.side.hub.post(f"app:old-{number:02}", data_body(b"1"))
    page = await operator.open("/admin/rooms", "ada")
    await expect(page.get_by_test_id("matching")).to_have_text("50 of 60 shown")
    assert (await names(page))[:3] == ["app:busy", "app:calm", "app:old-00"]
    await page.get_by_test_id("sort-members").click()
    await expect(page.locator("th[aria-sort=descending]")).to_have_text("Members")
    await expect(row(page, "user:2")).to_be_visible()
    assert (await names(page))[:4] == ["user:2", "app:busy", "app:calm", "user:3"]
    await expect(row(page, "app:calm").locator("[data-cell=present]")).to_have_text("2")
    await page.get_by_test_id("next").click()
    await expect(page.get_by_test_id("page")).to_have_text("Page 2 of 2")
    await expect(page.get_by_test_id("row")).to_have_count(10)

    await page.get_by_test_id("filter-prefix").fill("app:")
    await page.get_by_test_id("filter-text").fill("BUSY")
    await expect(page.get_by_test_id("matching")).to_have_text("1 of 1 shown")
    await expect(page).to_have_url(re.compile(r"\?text=BUSY&prefix=app%3A&sort=members$"))
    (line,) = (await downloaded(page, "ndjson-rooms")).splitlines()
    assert (json.loads(line)["room_id"], json.loads(line)["members"]) == ("app:busy", 3)
    busy = row(page, "app:busy")
    await expect(busy.locator("[data-cell=messages_per_second]")).to_have_text("0.0")
    for _ in range(40):
        await site.side.hub.post("app:busy", data_body(b'"tick"'))
    for cell, figure in (("published", "40"), ("offset", "40"), ("history_messages", "40"), ("delivery", "lossless")):
        await expect(busy.locator(f"[data-cell={cell}]")).to_have_text(figure)
    await expect(busy.locator("[data-cell=messages_per_second]")).to_have_text(re.compile(r"^[1-9]\d*\.\d$"))
    info = site.side.hub.room("app:busy")
    assert info is not None
    await expect(busy.locator("[data-cell=epoch]")).to_have_text(info.epoch)
    assert await axe(page) == []
    await busy.get_by_test_id("members").click()
    await expect(page).to_have_url(re.compile(r"/admin/connections\?room=app%3Abusy$"))
    await expect(page.get_by_test_id("connections").get_by_test_id("row")).to_have_count(3)
    await expect(page.get_by_test_id("filter-room")).to_have_value("app:busy")


async def test_a_room_that_empties_keeps_its_place_and_who_may_look_no_more_is_told(operator: Operator) -> None:
    """Pointed at, rows stay and say what became of them; the role taken ends the asking; narrow, dark and German."""
    crowd, site = operator.crowd, operator.server
    guests = await crowd.arrive("bob", 2)
    await crowd.enter(guests, "market:AAPL")
    page = await operator.open(
        "/admin/rooms?sort=members", "ada", locale="de-DE", color_scheme="dark", viewport={"width": 320, "height": 800}
    )
    await expect(page.get_by_role("heading", level=1)).to_have_text("Räume")
    await expect(row(page, "market:AAPL")).to_be_visible()
    assert await page.evaluate("document.scrollingElement.scrollWidth") <= 320
    assert await axe(page) == []
    before = await names(page)
    await row(page, before[0]).hover()
    await crowd.drop(guests)
    await expect(row(page, "market:AAPL").locator("[data-cell=members]")).to_have_text("0")
    assert await names(page) == before
    await site.accounts.change_user("ada", role="user")
    await expect(page.get_by_test_id("banner-ended")).to_contain_text("Sie dürfen das nicht mehr ansehen.")
    assert await axe(page) == []
