"""The feed page in Chromium against a scripted server: what an operator sees and does in each of its states."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.support.chromium import ARGUMENTS, chromium_path
from tests.support.scripted_admin import SYMBOLS, Script, ScriptedAdmin, status

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

AXE = (Path(__file__).parents[2] / "frontend/node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")
FIRST = '[data-connection="connection_1"]'
SECOND = '[data-connection="connection_2"]'
EXPIRED = {"code": "unauthorized", "message": "Your session has ended.", "required_action": "Log in.", "will_not": ""}


@asynccontextmanager
async def opened(script: Script, **context: Any) -> AsyncIterator[tuple[Page, ScriptedAdmin]]:
    """The page, open on a running server; any script error or breach of the content security policy fails the test."""
    problems: list[str] = []
    async with ScriptedAdmin(script) as admin, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path(), args=list(ARGUMENTS))
        try:
            page = await browser.new_page(**{"viewport": {"width": 1440, "height": 950}, "locale": "en", **context})
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
            await page.goto(f"{admin.url}/admin/websockets")
            yield page, admin
        finally:
            await browser.close()
    assert problems == []


async def axe(page: Page) -> list[str]:
    """Return the accessibility violations of the page as it is now."""
    # Debugger access, not a script element: the page's policy rightly refuses the latter.
    session = await page.context.new_cdp_session(page)
    await session.send("Runtime.evaluate", {"expression": AXE})
    found = await page.evaluate("async () => (await axe.run()).violations.map(v => v.id + ' ' + v.nodes[0].html)")
    return list(found)


@pytest.fixture
def script() -> Script:
    """Three healthy lines with ticks of the past."""
    made = Script()
    made.fill()
    return made


async def test_three_columns_show_what_the_status_says(script: Script) -> None:
    """Name, badge with word and icon, configuration, figures and full charts per connection, without violation."""
    script.status["connections"]["connection_2"].update(
        status="error", state="cooldown", last_error="Refused: auth_failed", next_retry_at=time.time() + 30
    )
    script.status["connections"]["connection_3"].update(status="disabled", state="disabled", enabled=False)
    script.status = status(script.now, script.status["connections"])
    async with opened(script) as (page, _):
        await expect(page.locator("[data-testid=column]")).to_have_count(3)
        badges = page.locator("[data-testid=badge]")
        await expect(badges).to_have_text(["Connected", "Error · cooling down", "Disabled"])
        await expect(page.locator(f"{SECOND} [data-testid=last-error]")).to_contain_text("auth_failed")
        await expect(page.locator(f"{SECOND} [data-testid=retry]")).to_contain_text("Next attempt in")
        await expect(page.locator(f"{FIRST} [data-testid=universe]")).to_have_text("market_leaders:top_500")
        await expect(page.locator(f"{FIRST} [data-testid=ticker-count]")).to_have_text("146 tickers")
        await expect(page.locator(f"{FIRST} [data-testid=message_count]")).to_have_text("93,604")
        await expect(page.locator("[data-testid=sum-connected]")).to_have_text("1 of 2")
        await expect(page.locator(f"{FIRST} .u-over")).to_have_count(2)
        await page.click(f"{FIRST} .config summary")
        await page.fill(f"{FIRST} [data-testid=ticker-search]", "aap")
        await expect(page.locator(f"{FIRST} [data-testid=tickers] li")).to_have_text(["AAPL"])
        assert await axe(page) == []


async def test_ticks_come_newest_first_as_text_with_arrow(script: Script) -> None:
    """A tick is on top of its column, 50 rows at most, its direction in a word and an arrow, its text never HTML."""
    script.tick("connection_1", "UP", price=10.0)
    async with opened(script) as (page, admin):
        rows = page.locator(f"{FIRST} tbody tr[data-tick]:not([hidden])")
        await expect(rows).to_have_count(50)
        nasty = script.tick("connection_1", "<img src=x onerror=alert(1)>", source="<b>")
        await admin.ticks([nasty, script.tick("connection_1", "UP", price=11.0)], dropped=3)
        await expect(rows.first).to_have_attribute("data-symbol", "UP")
        await expect(rows.first).to_have_attribute("data-direction", "up")
        await expect(rows.first).to_contain_text("▲up 11.00")
        await expect(rows.nth(1).locator(".tick-symbol")).to_have_text("<img src=x onerror=alert(1)>")
        await expect(rows).to_have_count(50)
        await expect(page.locator("[data-testid=sum-dropped]")).to_have_text("3")
        await expect(page.locator("[data-testid=unassigned]")).to_be_hidden()
        await admin.push_status(
            unassigned={"message_count": 4, "messages_per_second": 1.0, "last_message_time": time.time()}
        )
        await admin.ticks([script.tick(None, "ZZZ")])
        await expect(page.locator("[data-testid=unassigned] tbody tr").first).to_have_attribute("data-symbol", "ZZZ")


async def test_pause_holds_says_since_when_and_resumes(script: Script) -> None:
    """A paused column stands still and counts; others go on; resuming brings the newest and says what was skipped."""
    async with opened(script) as (page, admin):
        first_row = page.locator(f"{FIRST} tbody tr").first
        before = await first_row.get_attribute("data-tick")
        state = page.locator(f"{FIRST} [data-testid=stream-state]")
        await page.click(f"{FIRST} [data-testid=pause]")
        script.held = 1204
        await admin.ticks([script.tick("connection_1", "AAPL"), script.tick("connection_2", "JPM")])
        await admin.second()
        await expect(state).to_have_text(re.compile(r"Paused at \d\d:\d\d:\d\d, 1,204 held"))
        await expect(page.locator("[data-testid=sum-held]")).to_have_text("1,204")
        await expect(page.locator(f"{SECOND} tbody tr").first).to_have_attribute("data-symbol", "JPM")
        assert await first_row.get_attribute("data-tick") == before
        assert await axe(page) == []
        await page.click(f"{FIRST} [data-testid=jump]")
        await expect(state).to_have_text("Live; 1,154 skipped while paused")
        await expect(first_row).to_have_attribute("data-tick", str(script.recent["connection_1"][0]["id"]))


async def test_the_keyboard_does_everything(script: Script) -> None:
    """Space, Shift+Space, arrows and Enter, slash, Ctrl-K and ? work without a mouse."""
    async with opened(script) as (page, _):
        await expect(page.locator("[data-testid=column]")).to_have_count(3)
        await page.keyboard.press("2")
        await page.keyboard.press("Space")
        await expect(page.locator(f"{SECOND} [data-testid=pause]")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("Shift+Space")
        await expect(page.locator("[data-testid=pause-all]")).to_have_attribute("aria-pressed", "true")
        await page.keyboard.press("Shift+Space")
        await expect(page.locator("[data-testid=pause-all]")).to_have_attribute("aria-pressed", "false")
        await page.locator(f"{FIRST} tbody tr").first.focus()
        await page.keyboard.press("ArrowDown")
        wanted = await page.locator(f"{FIRST} tbody tr").nth(1).get_attribute("data-tick")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-testid=inspect-verdict]")).to_have_text("Valid")
        assert script.asked[-1] == ("inspect_tick", {"id": int(wanted or 0)})
        assert await axe(page) == []
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await expect(page.locator("[data-testid=filter-symbols]")).to_be_focused()
        await page.keyboard.press("Control+k")
        await page.keyboard.type("msft")
        await page.keyboard.press("Enter")
        await expect(page.locator("[data-testid=filter-symbols]")).to_have_value("MSFT")
        await page.locator("h1").click()
        await page.keyboard.press("?")
        await expect(page.locator("#help")).to_be_visible()
        assert await axe(page) == []


async def test_the_filter_goes_to_the_server_and_the_url(script: Script) -> None:
    """What is typed is sent once typing stops, kept in the URL over a reload, and narrows also a paused view."""
    async with opened(script) as (page, _):
        await page.click(f"{FIRST} [data-testid=pause]")
        await page.fill("[data-testid=filter-symbols]", "aapl, ms*")
        await expect(page.locator("[data-testid=filter-state]")).to_have_text("Filtered by the server.")
        shown = page.locator(f"{FIRST} tbody tr:not([hidden])")
        await expect(shown).not_to_have_count(50)
        symbols = await shown.evaluate_all("rows => [...new Set(rows.map(row => row.dataset.symbol))].sort()")
        assert symbols == ["AAPL", "MSFT"]
        await page.reload()
        await expect(page.locator("[data-testid=filter-symbols]")).to_have_value("aapl, ms*")
        await expect(page.locator("[data-testid=filter-state]")).to_have_text("Filtered by the server.")
        wanted = {"batch": True, "filter": {"symbols": ["AAPL", "MS*"]}}
        assert [data for event, data in script.asked if event == "set_options"][-1] == wanted
        await page.fill("[data-testid=filter-min-change]", "much")
        await expect(page.locator("[data-testid=filter-state]")).to_contain_text("a number")
        assert await axe(page) == []


async def test_nothing_moves_under_the_reader(script: Script) -> None:
    """Rows stand still under the pointer, a selection and the focus survive, a zoom survives new data."""
    async with opened(script) as (page, admin):
        row = page.locator(f"{FIRST} tbody tr").nth(2)
        await row.hover()
        before = await row.get_attribute("data-tick")
        await admin.ticks([script.tick("connection_1", symbol) for symbol in SYMBOLS["connection_1"]])
        await expect(page.locator(f"{FIRST} [data-testid=stream-state]")).to_have_text("Still while you look: 6 newer")
        assert await row.get_attribute("data-tick") == before
        await row.focus()
        await page.mouse.move(700, 20)
        await admin.ticks([script.tick("connection_1", "AAPL")])
        await expect(page.locator(f"{FIRST} [data-testid=stream-state]")).to_have_text("Still while you look: 7 newer")
        await expect(row).to_be_focused()
        await page.keyboard.press("j")
        newest = str(script.recent["connection_1"][0]["id"])
        await expect(page.locator(f"{FIRST} tbody tr").first).to_have_attribute("data-tick", newest)
        box = await page.locator(f"{FIRST} .u-over").first.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + 40, box["y"] + 20)
        await page.mouse.down()
        await page.mouse.move(box["x"] + 140, box["y"] + 20, steps=4)
        await page.mouse.up()
        zoom_out = page.locator("[data-testid=zoom-out]")
        await expect(zoom_out).to_be_enabled()
        await admin.second()
        await expect(zoom_out).to_be_enabled()
        await zoom_out.click()
        await expect(zoom_out).to_be_disabled()


async def test_a_lost_socket_is_said_and_mended(script: Script) -> None:
    """Cut off, the page says since when, counts down, fades its figures, comes back by itself and stays paused."""
    async with opened(script) as (page, admin):
        await page.click(f"{FIRST} [data-testid=pause]")
        script.refuse = ("unavailable", {"code": "unavailable", "message": "m", "required_action": "", "will_not": ""})
        await admin.drop_all()
        banner = page.locator("[data-testid=banner-reconnecting]")
        await expect(banner).to_contain_text("Not connected to the server since")
        await expect(page.locator("[data-testid=live-state]")).not_to_have_attribute("data-state", "live")
        await expect(page.locator(FIRST)).to_have_attribute("data-stale", "true")
        assert await axe(page) == []
        script.refuse = None
        script.paused.clear()
        # The longest wait between two attempts is 20 s.
        await expect(banner).to_be_hidden(timeout=25_000)
        await expect(page.locator("[data-testid=live-state]")).to_have_attribute("data-state", "live")
        await expect(page.locator(f"{FIRST} [data-testid=pause]")).to_have_attribute("aria-pressed", "true")
        assert list(script.paused) == ["connection_1"]


async def test_an_ended_session_leads_to_the_login(script: Script) -> None:
    """When the server says unauthorized the page stops trying and leads back to itself by way of the login."""
    async with opened(script) as (page, admin):
        await expect(page.locator("[data-testid=column]")).to_have_count(3)
        script.refuse = ("unauthorized", EXPIRED)
        await admin.drop_all()
        await expect(page.locator("[data-testid=banner-ended]")).to_contain_text("Your session has ended.")
        await expect(page.locator("[data-testid=live-state]")).to_have_text("session ended")
        login = page.locator("[data-testid=login-again]")
        await expect(login).to_have_attribute("href", "/login?next=%2Fadmin%2Fwebsockets")
        assert await axe(page) == []


async def test_pausing_the_feed_wants_the_words_typed(script: Script) -> None:
    """The feed is paused only after typing the words; everybody sees by whom; without the right there is no button."""
    async with opened(script) as (page, admin):
        await page.click("[data-testid=feed-control]")
        go = page.locator("[data-testid=pause-feed-go]")
        await expect(go).to_be_disabled()
        await page.fill("#pause-reason", "maintenance")
        await page.fill("[data-testid=pause-confirm]", "pause feed")
        assert await axe(page) == []
        await go.click()
        await expect(page.locator("[data-testid=pause-feed]")).to_be_hidden()
        assert script.asked[-1] == ("pause_feed", {"confirm": "pause feed", "reason": "maintenance"})
        await admin.push_status()
        await expect(page.locator("[data-testid=banner-feed-paused]")).to_contain_text("by ada")
        await expect(page.locator("[data-testid=banner-feed-paused]")).to_contain_text("maintenance")
        script.can_control = False
        await page.reload()
        await expect(page.locator("[data-testid=banner-feed-paused]")).to_be_visible()
        await expect(page.locator("[data-testid=feed-control]")).to_be_hidden()
        await expect(page.locator("[data-testid=resume-feed]")).to_have_count(0)


async def test_a_silent_feed_fades_its_figures(script: Script) -> None:
    """When the feed stops speaking its last figures say as of when, in light and dark alike."""
    async with opened(script, color_scheme="dark") as (page, admin):
        await expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
        await admin.push_status(feed_silent_since=time.time() - 14)
        await expect(page.locator("[data-testid=banner-silent]")).to_contain_text("has said nothing since")
        await expect(page.locator(f"{FIRST} [data-testid=retry]")).to_contain_text("as of")
        await expect(page.locator(FIRST)).to_have_attribute("data-stale", "true")
        assert await axe(page) == []


async def test_a_narrow_screen_stacks_and_does_not_scroll_sideways(script: Script) -> None:
    """At 375 px columns lie below each other, the menu is a drawer, and nothing sticks out."""
    async with opened(script, viewport={"width": 375, "height": 800}) as (page, _):
        first, second = page.locator(FIRST), page.locator(SECOND)
        await expect(second).to_be_visible()
        above, below = await first.bounding_box(), await second.bounding_box()
        assert above is not None
        assert below is not None
        assert below["y"] >= above["y"] + above["height"]
        assert await page.evaluate("document.documentElement.scrollWidth") <= 375
        await page.click("[data-part=nav-open]")
        await expect(page.locator("#side .brand")).to_be_focused()
        assert await axe(page) == []
        await page.keyboard.press("Escape")
        await expect(page.locator("#side")).to_be_hidden()


async def test_an_inspected_tick_can_be_copied_and_errors_are_said(script: Script) -> None:
    """The dialog shows raw, decoded and timings and copies them as JSON; a tick that is gone says so."""
    async with opened(script, permissions=["clipboard-read", "clipboard-write"]) as (page, _):
        row = page.locator(f"{FIRST} tbody tr").first
        await row.click()
        await expect(page.locator("[data-testid=inspect-raw]")).to_contain_text('"ev":"T"')
        await expect(page.locator("[data-testid=inspect-timings] li")).to_have_count(4)
        await page.click("[data-testid=inspect-copy]")
        await expect(page.locator("[data-testid=inspect-copy]")).to_contain_text("Copied")
        copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
        assert copied["verdict"] == "valid"
        await page.click("[data-testid=inspect-close]")
        script.errors["inspect_tick"] = {
            "code": "not_found",
            "message": "That tick is no longer kept.",
            "required_action": "Pick a newer one.",
            "will_not": "",
        }
        await row.click()
        await expect(page.locator("#inspect [role=alert]")).to_have_text(
            "That tick is no longer kept. Pick a newer one."
        )
