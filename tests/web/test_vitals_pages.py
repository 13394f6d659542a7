"""The pages of health and performance in Chromium against the real server: figures, checks, and who may not look."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support.page_visit import Visitor, axe, visiting
from tests.support.waiting import until
from tidewire.core.errors import StoreError

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
PATH = "/api/v1/admin/analytics"


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Visitor]:
    """A browser on a server of its own."""
    async with visiting(tmp_path, Visitor) as found:
        yield found


def check(page: Page, name: str, cell: str) -> Locator:
    """Return a cell of a check's row."""
    return page.get_by_test_id("checks").locator(f'tr[data-id="{name}"] [data-cell={cell}]')


def node(page: Page, cell: str) -> Locator:
    """Return a cell of the only node's row."""
    return page.get_by_test_id("nodes").get_by_test_id("row").locator(f"[data-cell={cell}]")


async def test_health_shows_what_is(visitor: Visitor) -> None:
    """Checks with their latency and reasons, the node's figures as counted by hand, charts that begin full."""
    site = visitor.server
    async with site.socket("bob"), site.socket("bob"), site.socket("mod"):
        page = await visitor.open("/admin/health", "ada")
        await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        await expect(check(page, "database", "status")).to_have_text("Ok")
        await expect(check(page, "database", "latency")).to_have_text(re.compile(r"^\d+\.\d ms$"))
        await expect(check(page, "feed", "status")).to_have_text("Failed")
        await expect(check(page, "feed", "reason")).to_contain_text("No feed is running")
        await expect(check(page, "feed", "action")).to_contain_text("Start `tidewire feed`")
        await expect(page.get_by_test_id("verdict")).to_have_text("Something has failed")
        # Three sockets, and the page's own.
        await expect(node(page, "connections")).to_have_text("4")
        await expect(node(page, "users")).to_have_text("3")
        await expect(node(page, "database")).to_have_text("up")
        await expect(node(page, "age")).to_have_text(re.compile("^(just now|[1-9] s ago)$"))
        await expect(page.get_by_test_id("read-connections")).to_have_text("4")
        remembered = len(site.web.vitals.sampler.history(["tidewire_hub_connections"], 900.0).times)
        drawn = await page.get_by_test_id("chart-connections").locator("canvas").count()
        assert (remembered >= 1, drawn) == (True, 1)
        await page.get_by_test_id("figures").locator("summary").click()
        await page.get_by_test_id("figure-text").fill("tidewire_hub_opened")
        await expect(page.get_by_test_id("figure-count")).to_have_text("1")
        figure = page.locator('[data-series="tidewire_hub_opened_total"][data-group=hub]')
        await expect(figure.locator("td").nth(1)).to_have_text("4")
        assert await axe(page) == []


async def test_a_check_that_fails_later_is_told(visitor: Visitor) -> None:
    """Pressed again, the check finds what has broken since; who asked is shown the three sentences."""
    page = await visitor.open("/admin/health", "ada")
    await expect(check(page, "database", "status")).to_have_text("Ok")
    health = visitor.server.web.storage.requests

    async def away() -> float:
        raise StoreError("The disk is gone.", required_action="Bring it back.", will_not="Nothing is stored.")

    health.probe = away  # type: ignore[method-assign]
    await page.get_by_test_id("check-now").click()
    await expect(check(page, "database", "status")).to_have_text("Failed")
    await expect(check(page, "database", "reason")).to_have_text("The disk is gone.")
    await expect(check(page, "database", "action")).to_have_text("Bring it back. Nothing is stored.")


async def test_paused_stands_still_and_goes_on(visitor: Visitor) -> None:
    """What stood there when paused stays, and says since when; afterwards it is what is."""
    page = await visitor.open("/admin/health", "ada")
    await expect(node(page, "connections")).to_have_text("1")
    await page.keyboard.press("Space")
    await expect(page.get_by_test_id("view-state")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
    vitals = visitor.server.web.vitals.conversation.monitoring
    async with visitor.server.socket("bob"):
        shown = vitals.shown
        await expect(page.get_by_test_id("age")).to_have_text(re.compile("^Figures of"))
        await until(lambda: vitals.shown >= shown + 2)
        await expect(node(page, "connections")).to_have_text("1")
        await page.get_by_test_id("pause").click()
        await expect(node(page, "connections")).to_have_text("2")


async def test_who_may_look_no_more_is_told(visitor: Visitor) -> None:
    """The permission taken while watching ends it, with words; a page without it is refused, and is not in the menu."""
    site = visitor.server
    page = await visitor.open("/admin/health", "mod", locale="de-DE", color_scheme="dark")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Gesundheit")
    await expect(node(page, "connections")).to_have_text("1")
    await expect(page.get_by_test_id("nav-performance")).to_have_count(0)
    assert await axe(page) == []
    await site.accounts.change_user("mod", denials=frozenset({"analytics:read"}))
    await expect(page.get_by_test_id("banner-refused")).to_contain_text("analytics:read")
    await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "ended")
    assert site.web.vitals.conversation.monitoring.watchers == 0
    for username, path in (("bob", "/admin/health"), ("bob", "/admin/performance"), ("mod", "/admin/performance")):
        async with site.http(username) as client:
            assert (await client.get(path)).status_code == 403
    page = await visitor.open("/streaming", "bob")
    await expect(page.get_by_test_id("nav-health")).to_have_count(0)


async def test_performance_shows_a_load_of_known_size(visitor: Visitor) -> None:
    """Twenty-five requests are twenty-five at their route; percentiles are there, sessions are those that are open."""
    site = visitor.server
    async with site.http("ada") as client, site.socket("bob"):
        for _ in range(25):
            await client.get("/api/v1/admin/rooms")
        page = await visitor.open("/admin/performance", "ada")
        row = page.get_by_test_id("routes").locator('tr[data-id="GET /api/v1/admin/rooms"]')
        await expect(row.locator("[data-cell=count]")).to_have_text("25")
        for cell in ("mean", "p50", "p95", "p99"):
            await expect(row.locator(f"[data-cell={cell}]")).to_have_text(re.compile(r"^[\d.,]+ m?s$"))
        await expect(page.get_by_test_id("figure-sessions")).to_have_text("2")
        await expect(page.get_by_test_id("figure-users")).to_have_text("2")
        await expect(page.get_by_test_id("figure-errors")).to_have_text("0.000 %")
        assert await axe(page) == []


async def test_narrow_pages_fit(visitor: Visitor) -> None:
    """At 320 pixels nothing is cut off sideways, and axe finds nothing."""
    for path in ("/admin/health", "/admin/performance"):
        page = await visitor.open(path, "ada", viewport={"width": 320, "height": 800})
        await expect(page.get_by_test_id("nodes").get_by_test_id("row")).to_have_count(1)
        assert await page.evaluate("document.scrollingElement.scrollWidth") <= 320
        assert await axe(page) == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("history?name=tidewire_made_up", "unknown_metric"),
        ("history?name='; DROP TABLE users; --", "unknown_metric"),
        ("history?" + "&".join(f"name=n{n}" for n in range(100)), "bad_metrics"),
        ("history?name=tidewire_hub_users&seconds=0", "bad_interval"),
        ("history?name=tidewire_hub_users&seconds=1e9", "bad_interval"),
        ("history?name=tidewire_hub_users&seconds=nan", "bad_interval"),
        ("history", "unprocessable_content"),
        ("performance-history?metric=tidewire_hub_users", "unknown_metric"),
        ("performance-history?metric=" + "x" * 4000, "unknown_metric"),
    ],
)
async def test_absurd_questions_are_refused_by_name(visitor: Visitor, query: str, code: str) -> None:
    """Unknown names, foreign text, spans of 0 and 1e9: a named error with its sentences."""
    async with visitor.server.http("ada", Accept="application/json") as client:
        answer = await client.get(f"{PATH}/{query}")
    assert (answer.json()["code"], 400 <= answer.status_code < 500) == (code, True)
    assert answer.json()["required_action"]
    assert answer.json()["will_not"]
