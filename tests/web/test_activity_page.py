"""The page of the activity log in Chromium against the real server: live, paused, filtered, exported, taken away."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.app.test_activity import by_sql, write
from tests.support.page_visit import Visitor, axe, visiting

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
PATH = "/admin/activity"


class Auditor(Visitor):
    """Ada, who reads the log."""

    async def look(self, query: str = "", **context: object) -> Page:
        """Return the page, live and with its first rows or the word that there are none."""
        page = await self.open(f"{PATH}{query}", "ada", **context)
        await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        await expect(page.locator("[data-part=list]")).not_to_have_attribute("aria-busy", "true")
        return page


@pytest.fixture
async def auditor(tmp_path: Path) -> AsyncIterator[Auditor]:
    """A reader of a server of its own."""
    async with visiting(tmp_path, Auditor) as found:
        yield found


async def shown(page: Page) -> list[int]:
    """Return the numbers of the rows, from top to bottom, read in one moment."""
    rows = page.get_by_test_id("activity").get_by_test_id("row")
    found: list[int] = await rows.evaluate_all("(rows) => rows.map((row) => Number(row.dataset.id))")
    return found


async def expect_rows(page: Page, count: int) -> None:
    """Wait until there are that many rows."""
    await expect(page.get_by_test_id("activity").get_by_test_id("row")).to_have_count(count)


async def test_live_rows_are_those_of_the_table(auditor: Auditor) -> None:
    """The page at first, each new row on top without a reload, older ones on demand: all as SQL has them."""
    site = auditor.server
    for n in range(70):
        await write(site, "test.before", target=f"t{n}", details={"n": n}, ip="10.0.0.1")
    page = await auditor.look()
    await expect_rows(page, 50)
    assert await shown(page) == [row["id"] for row in (await by_sql(site))[:50]]
    await write(site, "test.live", actor_id=1, target="<b>bob</b>", details={"reason": "<img src=x onerror=alert(1)>"})
    await expect_rows(page, 51)
    first = page.get_by_test_id("row").first
    await expect(first.locator("[data-cell=target]")).to_have_text("<b>bob</b>")
    await expect(first.locator("summary")).to_have_text("reason: <img src=x onerror=alert(1)>")
    await page.get_by_test_id("older").click()
    total = len(await by_sql(site))
    await expect_rows(page, total)
    assert await shown(page) == [row["id"] for row in await by_sql(site)]
    await expect(page.get_by_test_id("matching")).to_have_text(f"All {total} rows")
    assert await axe(page) == []


async def test_paused_holds_and_counts(auditor: Auditor) -> None:
    """Paused says since when and how many are held; resumed shows each once; the space bar does it too."""
    site = auditor.server
    page = await auditor.look()
    before = await shown(page)
    await page.get_by_test_id("pause").click()
    for n in range(3):
        await write(site, "test.held", target=str(n))
    await expect(page.get_by_test_id("view-state")).to_have_text(re.compile(r"^Paused since \d\d:\d\d:\d\d; 3 held$"))
    assert await shown(page) == before
    assert await axe(page) == []
    await page.get_by_test_id("matching").click()
    await page.keyboard.press("Space")
    await expect_rows(page, len(before) + 3)
    assert await shown(page) == [row["id"] for row in await by_sql(site)]
    await expect(page.get_by_test_id("view-state")).to_have_text("")


async def test_filters_stand_in_the_address_and_are_the_exports_too(auditor: Auditor) -> None:
    """Typed, pressed in a row, reloaded, with a moment in the reader's zone; the files have exactly the rows shown."""
    site = auditor.server
    for n in range(12):
        await write(site, f"test.kind_{n % 2}", target=f"=t{n % 3}", ip="203.0.113.7")
    page = await auditor.look(timezone_id="Europe/Berlin")
    await page.get_by_test_id("filter-action").fill("test.kind_1")
    await expect_rows(page, 6)
    await page.get_by_test_id("activity").get_by_text("=t1", exact=True).first.click()
    right = [row["id"] for row in await by_sql(site, "action = 'test.kind_1' AND target = '=t1'")]
    await expect_rows(page, len(right))
    assert await shown(page) == right
    await expect(page).to_have_url(re.compile(r"\?action=test\.kind_1&target=%3Dt1$"))
    await page.reload()
    await expect_rows(page, len(right))
    await expect(page.get_by_test_id("filter-target")).to_have_value("=t1")

    async with page.expect_download() as coming:
        await page.get_by_test_id("csv").click()
    file = await (await coming.value).path()
    head, *lines = csv.reader(io.StringIO(file.read_text("utf-8"), newline=""))
    assert [int(line[0]) for line in lines] == right
    assert {line[head.index("target")] for line in lines} == {"'=t1"}
    await page.get_by_test_id("mask").check()
    async with page.expect_download() as coming:
        await page.get_by_test_id("ndjson").click()
    file = await (await coming.value).path()
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == right
    assert {row["ip"] for row in rows} == {"203.0.113.0/24"}

    await page.get_by_test_id("filter-clear").click()
    await page.get_by_test_id("filter-since").fill("2036-07-01T12:00:00")
    await expect(page.get_by_test_id("empty")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"\?since=2036-07-01T10%3A00%3A00Z$"))
    await page.get_by_test_id("filter-until").fill("2036-07-01T11:00:00")
    await expect(page.get_by_test_id("filter-problem")).to_have_text(re.compile("since is not before until"))
    assert await axe(page) == []


async def test_taken_away_while_it_is_open(auditor: Auditor) -> None:
    """Without the permission the rows leave the screen at once and the page says so; logged out, likewise."""
    site = auditor.server
    page = await auditor.look()
    assert await shown(page)
    await site.accounts.change_user("ada", denials=frozenset({"audit:read"}))
    await expect(page.get_by_test_id("banner-ended")).to_have_text(re.compile("You may not look at this any more"))
    await expect_rows(page, 0)
    await write(site, "test.secret")
    await site.accounts.change_user("ada", denials=frozenset())
    page = await auditor.look()
    await site.accounts.log_out(site.cookies["ada"])
    await expect(page.get_by_test_id("banner-ended")).to_be_visible()
    await expect_rows(page, 0)


async def test_who_may_not_is_told_and_exports_can_be_forbidden(tmp_path: Path) -> None:
    """The navigation leads nobody to a page that is not theirs; a server without exports says so."""
    async with visiting(tmp_path, Auditor, activity_export=False) as auditor:
        page = await auditor.open(PATH, "mod")
        await expect(page.get_by_test_id("activity")).to_have_count(0)
        await expect(page.get_by_test_id("nav-activity")).to_have_count(0)
        page = await auditor.look()
        await expect(page.get_by_test_id("no-export")).to_be_visible()
        await expect(page.get_by_test_id("csv")).to_be_hidden()
        await expect(page.get_by_test_id("nav-activity")).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("light", {}),
        ("dark", {"color_scheme": "dark"}),
        ("narrow", {"viewport": {"width": 390, "height": 844}}),
        ("german", {"locale": "de"}),
    ],
)
async def test_every_look_is_accessible(
    auditor: Auditor, name: str, context: dict[str, object], tmp_path: Path
) -> None:
    """Light, dark, narrow, German: no violation, and nothing wider than the screen."""
    site = auditor.server
    for n in range(8):
        details = {"outcome": "refused" if n % 3 else "done", "reason": "because it was asked for " * n}
        await write(site, ("user.change", "feed.pause", "user.login_failed")[n % 3], target=f"bob {n}", details=details)
    page = await auditor.look(**context)
    await page.locator("summary").first.click()
    assert await axe(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.screenshot(path=tmp_path / f"activity-{name}.png", full_page=True)
