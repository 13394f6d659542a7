"""The page of alerts in Chromium against the real server: what is open, who looks after it, rules and silences."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Locator, Page, expect

from tests.support.admin import feed_status
from tests.support.alerts import Judge
from tests.support.page_visit import Visitor, axe, visiting
from tests.support.waiting import until
from tidewire.alerts.defaults import DEFAULTS
from tidewire.alerts.rule import Figure, Rule

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
CROWD = Rule(
    key="crowd", name="Many connections", figure=Figure(metric="tidewire_hub_connections"), threshold=2, for_s=0,
    by=("node",), severity="high",
)  # fmt: skip


class Watcher(Visitor):
    """Somebody who looks at alerts, and the judging, which she moves by hand."""

    judge: Judge

    async def look(self, query: str = "", username: str = "ada", **context: Any) -> Page:
        """Return the page, live."""
        page = await self.open(f"/admin/alerts{query}", username, **context)
        await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        return page

    async def trip(self) -> None:
        """Let three shipped rules trip: a dead line, bytes held back, and a flood of logins."""
        judge, side = self.judge, self.server.web
        side.hub_side.hub._board.budget.held_bytes = 70_000_000
        for _ in range(14):
            made = feed_status(judge.clock.time())
            lines = {**made.connections, "connection_1": self.down(made.connections["connection_1"])}
            judge.feed(
                type(made)(**{name: getattr(made, name) for name in made.__struct_fields__} | {"connections": lines})
            )
            await judge.step()
        assert set(judge.open()) == {"feed_line_down line=connection_1", "held_back"}

    @staticmethod
    def down(line: Any) -> Any:
        """Return a line that is down."""
        return type(line)(**{name: getattr(line, name) for name in line.__struct_fields__} | {"status": "error"})


@asynccontextmanager
async def watching(folder: Path, **settings: Any) -> AsyncIterator[Watcher]:
    """Run a server and a browser."""
    async with visiting(folder, Watcher, **settings) as watcher:
        watcher.judge = await Judge(watcher.server, time.time()).take_over()
        yield watcher


@pytest.fixture
async def watcher(tmp_path: Path) -> AsyncIterator[Watcher]:
    """A watcher of a server of its own."""
    async with watching(tmp_path) as found:
        yield found


def row(page: Page, name: str) -> Locator:
    """Return the row that is called so."""
    return page.get_by_test_id("row").filter(has=page.locator(".list-name", has_text=re.compile(f"^{re.escape(name)}")))


async def test_an_alert_appears_is_acknowledged_silenced_and_resolved(watcher: Watcher) -> None:
    """It comes over the socket; each button asks first; who did what stands in the row, and then in the history."""
    await watcher.judge.step(2)
    page = await watcher.look()
    await expect(page.get_by_test_id("empty")).to_be_visible()
    await expect(page.get_by_test_id("judged")).to_contain_text("Judged by")
    await watcher.trip()
    held = row(page, "Bytes held back")
    await expect(held).to_be_visible()
    await expect(held).to_contain_text("tidewire_hub_outbox_bytes is 70,000,000; > 67,108,864 for 60 s is bad.")
    await expect(row(page, "Feed line down (line=connection_1)").locator(".al-severity")).to_have_text("Critical")
    assert await axe(page) == []

    await held.get_by_test_id("acknowledge").click()
    assert await axe(page) == []
    await page.get_by_test_id("act-reason").fill("on it")
    await page.get_by_test_id("act-go").click()
    await expect(page.get_by_test_id("act-dialog")).to_be_hidden()
    await watcher.judge.step()
    await page.get_by_test_id("filter-view").select_option("unresolved")
    await expect(held.locator("[data-cell=standing]")).to_contain_text(re.compile(r"^ada, since .* on it"))

    await held.get_by_test_id("silence").click()
    await expect(page.get_by_test_id("act-go")).to_be_disabled()
    await page.get_by_test_id("act-reason").fill("known")
    await page.get_by_test_id("act-seconds").select_option("900")
    await page.get_by_test_id("act-go").click()
    await expect(page.get_by_test_id("act-dialog")).to_be_hidden()
    await watcher.judge.step()
    await expect(held.locator("[data-cell=standing]")).to_contain_text("silent until")
    await page.get_by_test_id("silences").locator("summary").click()
    silence = page.get_by_test_id("silences").get_by_test_id("row")
    await expect(silence).to_contain_text("held_back")
    await silence.get_by_test_id("end-silence").click()
    await expect(silence).to_contain_text("ended by ada")

    await held.get_by_test_id("resolve").click()
    await page.get_by_test_id("act-reason").fill("a drill")
    await page.get_by_test_id("act-go").click()
    await expect(page.get_by_test_id("act-dialog")).to_be_hidden()
    await page.get_by_test_id("filter-view").select_option("resolved")
    await expect(held.locator("[data-cell=standing]")).to_contain_text(re.compile(r"Resolved by ada after .*: a drill"))
    await expect(page).to_have_url(re.compile(r"\?view=resolved$"))


async def test_every_rule_is_listed_as_it_is_and_can_be_made_and_switched_off(watcher: Watcher) -> None:
    """All shipped ones with their states; a new one is refused field by field, then made, tripped and switched off."""
    await watcher.judge.step(2)
    page = await watcher.look()
    await page.get_by_test_id("rules").locator("summary").click()
    rules = page.get_by_test_id("rules").get_by_test_id("row")
    await expect(rules).to_have_count(len(DEFAULTS))
    await expect(row(page, "Feed line down").locator("[data-cell=state]")).to_have_text("No data")
    await expect(row(page, "Broker unreachable").locator("[data-cell=state]")).to_have_text("Fine")
    assert await axe(page) == []
    await page.get_by_test_id("rule-new").click()
    await page.get_by_test_id("rule-key").fill("crowd")
    await expect(page.locator("#rule-metrics option[value=tidewire_hub_connections]")).to_have_count(1)
    await page.get_by_test_id("rule-figure-metric").fill("tidewire_nobody_has")
    await page.get_by_test_id("rule-for_s").fill("0")
    await page.get_by_test_id("rule-threshold").press("Enter")
    # What is missing is told by its place in the document, the rest by fields: the first one has the focus.
    await expect(page.get_by_test_id("rule-threshold-said")).to_have_text("A number is needed here.")
    await expect(page.get_by_test_id("rule-threshold")).to_be_focused()
    await page.get_by_test_id("rule-threshold").fill("2")
    await page.get_by_test_id("rule-clear").fill("3")
    await page.get_by_test_id("rule-go").click()
    await expect(page.get_by_test_id("rule-threshold-said")).to_be_hidden()
    await expect(page.get_by_test_id("rule-name-said")).to_have_text("It has 1 to 80 printable characters.")
    await expect(page.get_by_test_id("rule-clear-said")).to_contain_text("the threshold itself or below it")
    await expect(page.get_by_test_id("rule-figure-metric-said")).to_contain_text("No node has measured")
    await expect(page.get_by_test_id("rule-figure-metric")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_test_id("rule-error")).to_contain_text("3")
    await expect(page.get_by_label("Name", exact=True)).to_be_focused()
    assert await axe(page) == []
    await page.get_by_label("Name", exact=True).fill("Many connections")
    await page.get_by_test_id("rule-figure-metric").fill("tidewire_hub_connections")
    await page.get_by_label("Good again at (empty: at once)").fill("")
    await page.get_by_label("node", exact=True).check()
    await page.get_by_test_id("rule-severity").select_option("high")
    await page.get_by_test_id("rule-go").click()
    await expect(page.get_by_test_id("rule-dialog")).to_be_hidden()
    await watcher.judge.step(2)
    crowd = page.get_by_test_id("rules").locator('tr[data-id="crowd"]')
    await expect(crowd.locator("[data-cell=state]")).to_have_text("Fine")
    await expect(crowd.locator("[data-cell=condition]")).to_have_text("tidewire_hub_connections > 2, for 0 s")
    async with watcher.server.http("ada") as http:
        stored = {each["key"]: each["rule"] for each in (await http.get("/api/v1/admin/alerts/rules")).json()["rules"]}
    assert msgspec.convert(stored["crowd"], Rule) == CROWD
    await crowd.get_by_test_id("disable").click()
    await expect(crowd.get_by_test_id("enable")).to_be_visible()
    await watcher.judge.step(2)
    await expect(crowd.locator("[data-cell=state]")).to_have_text("Disabled")


async def test_it_says_when_nobody_judges_and_when_the_database_lacks_something(watcher: Watcher) -> None:
    """An empty list that nobody fills is not called empty in peace."""
    await watcher.judge.step(2)
    page = await watcher.look()
    await expect(page.get_by_test_id("judged")).to_contain_text("Judged by")
    await expect(page.get_by_test_id("banner-nobody")).to_have_count(0)
    watcher.judge.clock.jump(40)
    await expect(page.get_by_test_id("banner-nobody")).to_contain_text("Nobody has judged the rules since")
    await watcher.judge.step(2)
    await expect(page.get_by_test_id("banner-nobody")).to_have_count(0)


async def test_who_may_not_act_sees_no_button_and_who_may_not_look_is_told(watcher: Watcher) -> None:
    """A moderator reads; taken away while watching, the page says so and asks no more; bob gets 403."""
    await watcher.judge.step(2)
    await watcher.trip()
    page = await watcher.look(username="mod")
    await expect(page.get_by_test_id("row")).to_have_count(2)
    await expect(page.get_by_test_id("may-not")).to_be_visible()
    await expect(page.get_by_test_id("acknowledge")).to_have_count(0)
    await watcher.server.accounts.change_user("mod", denials=frozenset({"analytics:read"}))
    await expect(page.get_by_test_id("banner-ended")).to_contain_text("You may not look at this any more.")
    async with watcher.server.http("bob") as http:
        assert (await http.get("/admin/alerts")).status_code == 403


async def test_an_alert_is_told_on_every_operators_page(watcher: Watcher) -> None:
    """A strip above the page with the way to the alerts, without a connection for it; dismissed, it stays away."""
    await watcher.judge.step(2)
    page = await watcher.open("/admin/connections", "ada")
    toasts = page.get_by_test_id("alert-toasts")
    await page.wait_for_function("() => sessionStorage.getItem('tidewire.alerts') !== null")
    await watcher.trip()
    strip = toasts.locator(".strip", has_text="Feed line down").first
    await expect(strip).to_be_visible(timeout=60_000)
    await expect(strip.get_by_test_id("alert-look")).to_have_attribute("href", "/admin/alerts")
    # The page asks over HTTP; a connection for it would be one of those that it lists.
    assert watcher.server.side.hub.connection_count() == 0
    # It comes along to a page that has a connection, and is that page's only one.
    await page.goto(f"{watcher.server.origin}/admin/health")
    await expect(strip).to_be_visible(timeout=60_000)
    await until(watcher.server.side.hub.connection_count)
    assert watcher.server.side.hub.connection_count() == 1
    shown = await toasts.locator(".strip").count()
    await strip.get_by_test_id("alert-dismiss").click()
    await expect(toasts.locator(".strip")).to_have_count(shown - 1)
    await page.goto(f"{watcher.server.origin}/admin/rooms")
    await expect(page.get_by_test_id("alert-toasts").locator(".strip")).to_have_count(shown - 1)


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("light", {}),
        ("dark", {"color_scheme": "dark"}),
        ("narrow", {"viewport": {"width": 390, "height": 844}}),
        ("german", {"locale": "de"}),
    ],
)
async def test_looks(watcher: Watcher, name: str, context: dict[str, Any], tmp_path: Path) -> None:
    """In light and dark, on a phone and in German: no violation, nothing wider than the screen."""
    await watcher.judge.step(2)
    await watcher.trip()
    page = await watcher.look(**context)
    await expect(page.get_by_test_id("row")).to_have_count(2)
    line = "Leitung ausgefallen" if name == "german" else "Feed line down"
    await expect(row(page, f"{line} (line=connection_1)")).to_be_visible()
    bad = "schlecht ist > 0 über 30 s." if name == "german" else "> 0 for 30 s is bad."
    await expect(row(page, f"{line} (line=connection_1)")).to_contain_text(bad)
    await page.get_by_test_id("rules").locator("summary").click()
    await expect(page.get_by_test_id("rules").get_by_test_id("row")).to_have_count(len(DEFAULTS))
    assert await axe(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.screenshot(path=tmp_path / f"alerts-{name}.png", full_page=True)
