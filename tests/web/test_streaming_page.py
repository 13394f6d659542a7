"""The streaming page in Chromium against the real server: what somebody with a watch list sees and does."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.support.page_visit import Visitor, axe, visiting
from tests.support.platform import Served, settings_for
from tidewire.app.platform import Platform

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


class Watcher(Visitor):
    """Opens watch lists."""

    async def live(self, symbols: str, **more: Any) -> Page:
        """Return the page with a list of symbols, live and in every room."""
        page = await self.open(f"/streaming?symbols={symbols}", **{"username": "bob", **more})
        await expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        for symbol in symbols.split(","):
            await expect(row(page, symbol)).to_have_attribute("data-standing", "in")
        return page


def row(page: Page, symbol: str) -> Locator:
    """Return a symbol's row."""
    return page.locator(f'[data-testid=watch-row][data-symbol="{symbol}"]')


async def add(page: Page, text: str) -> None:
    """Type into the field and press Enter."""
    await page.get_by_test_id("add-symbols").fill(text)
    await page.get_by_test_id("add-symbols").press("Enter")


@pytest.fixture
async def visitor(tmp_path: Path) -> AsyncIterator[Watcher]:
    """A browser on a server of its own, without a feed: ticks come from the test."""
    async with visiting(tmp_path, Watcher) as found:
        yield found


async def test_a_tick_goes_from_the_bus_into_its_row(visitor: Watcher) -> None:
    """Price, direction as arrow and word, change, volume, age, owner and source; told from the tick before."""
    page = await visitor.live("AAPL,IBM")
    now = time.time()
    visitor.server.tick("AAPL", 178.2, timestamp=now, connection_id="connection_2")
    apple = row(page, "AAPL")
    await expect(apple.get_by_test_id("price")).to_have_text("178.20")
    await expect(apple).to_have_attribute("data-direction", "first")
    visitor.server.tick("AAPL", 178.7, timestamp=now, connection_id="connection_2")
    await expect(apple).to_have_attribute("data-direction", "up")
    await expect(apple.locator(".watch-price")).to_have_text("▲up 178.70")
    await expect(apple.locator(".watch-change")).to_have_text("+0.50+0.281 %")
    await expect(apple.get_by_test_id("volume")).to_have_text("10")
    await expect(apple.get_by_test_id("age")).to_have_text("just now")
    await expect(apple.get_by_test_id("owner")).to_have_text("connection_2")
    await expect(apple.locator(".dot")).to_have_css("background-color", "rgb(40, 167, 69)")
    await expect(apple.get_by_test_id("source")).to_have_text("test")
    await expect(apple).to_have_attribute("data-flash", re.compile("a|b"))
    visitor.server.tick("AAPL", 178.1, timestamp=now)
    await expect(apple.locator(".watch-price")).to_have_text("▼down 178.10")
    await expect(apple.get_by_test_id("owner")).to_have_text("unassigned")
    await expect(row(page, "IBM").get_by_test_id("price")).to_have_text("–")
    assert await axe(page) == []


async def test_symbols_are_added_and_removed_and_the_address_keeps_them(visitor: Watcher) -> None:
    """Several at once in either case; what is no symbol is said; the list outlives a reload and a bare address."""
    visitor.server.tick("MSFT", 90.0)
    page = await visitor.open("/streaming", "bob")
    await expect(page.get_by_test_id("empty")).to_be_visible()
    assert await axe(page) == []
    await page.get_by_test_id("example").first.click()
    await expect(row(page, "MSFT")).to_be_visible()
    await add(page, "aapl, brk.b x!y msft")
    await expect(page.get_by_test_id("add-hint")).to_have_text(
        "Added: AAPL, BRK.B. Already on the list: MSFT. "
        "Not a symbol: x!y. Use letters, digits, dot and hyphen, such as BRK.B."
    )
    await expect(page.get_by_test_id("add-symbols")).to_have_attribute("aria-invalid", "true")
    await expect(page).to_have_url(re.compile(r"\?symbols=MSFT,AAPL,BRK\.B$"))
    await expect(row(page, "BRK.B").get_by_test_id("note")).to_have_text("Known symbol?")
    assert await axe(page) == []
    await page.reload()
    await expect(page.get_by_test_id("watch-row")).to_have_count(3)
    await row(page, "AAPL").get_by_test_id("remove").click()
    await expect(page).to_have_url(re.compile(r"\?symbols=MSFT,BRK\.B$"))
    await page.get_by_test_id("undo").click()
    await expect(page).to_have_url(re.compile(r"\?symbols=MSFT,AAPL,BRK\.B$"))
    await page.goto(f"{visitor.server.origin}/streaming")
    await expect(page.get_by_test_id("watch-row")).to_have_count(3)
    await expect(row(page, "AAPL")).to_have_attribute("data-standing", "in")
    visitor.server.tick("AAPL", 1.0)
    await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text("1.00")


async def test_the_keyboard_does_everything(visitor: Watcher) -> None:
    """Slash, Enter, arrows, Delete and Space work without a mouse, and the focus is never lost."""
    page = await visitor.live("A,B,C")
    await page.keyboard.press("/")
    await expect(page.get_by_test_id("add-symbols")).to_be_focused()
    await page.keyboard.type("D")
    await page.keyboard.press("Enter")
    await row(page, "A").get_by_test_id("remove").focus()
    await page.keyboard.press("ArrowDown")
    await expect(row(page, "B").get_by_test_id("remove")).to_be_focused()
    await page.keyboard.press("Delete")
    await expect(row(page, "B")).to_have_count(0)
    await expect(row(page, "C").get_by_test_id("remove")).to_be_focused()
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("Space")
    await expect(page.get_by_test_id("pause")).to_have_attribute("aria-pressed", "true")
    await page.keyboard.press("?")
    await expect(page.locator("#help")).to_contain_text("Pause or resume everything")


async def test_a_suggestion_is_a_symbol_that_the_server_knows(visitor: Watcher) -> None:
    """While somebody types, the field offers symbols that begin so."""
    for symbol in ("AAPL", "AMD", "MSFT"):
        visitor.server.tick(symbol, 5.0)
    page = await visitor.open("/streaming", "bob")
    await page.get_by_test_id("add-symbols").press_sequentially("a")
    await expect(page.locator("#known-symbols option")).to_have_count(2)
    options = await page.locator("#known-symbols option").evaluate_all("(all) => all.map((one) => one.value)")
    assert options == ["AMD", "AAPL"]


async def test_pause_holds_everything_and_says_since_when_and_how_much(visitor: Watcher) -> None:
    """No figure moves, what came is counted, resuming shows the newest."""
    page = await visitor.live("AAPL")
    visitor.server.tick("AAPL", 10.0, timestamp=time.time())
    price = row(page, "AAPL").get_by_test_id("price")
    await expect(price).to_have_text("10.00")
    await page.get_by_test_id("pause").click()
    state = page.get_by_test_id("stream-state")
    for held, step in enumerate((11.0, 12.0, 13.0), 1):
        visitor.server.tick("AAPL", step, timestamp=time.time())
        # Of a room's ticks that wait together only the newest is sent; each of these is to come by itself.
        await expect(state).to_have_text(re.compile(rf"Paused at \d\d:\d\d:\d\d, {held} held"))
    await expect(price).to_have_text("10.00")
    assert await axe(page) == []
    await page.get_by_test_id("pause").click()
    await expect(price).to_have_text("13.00")
    await expect(state).to_have_text("Symbols: 1, stale: 0")


async def test_an_old_tick_is_marked_stale_until_a_new_one_comes(visitor: Watcher) -> None:
    """Word and icon beside the age, a quieter ink, and the sum says how many; a new tick ends it."""
    page = await visitor.live("AAPL")
    visitor.server.tick("AAPL", 10.0, timestamp=time.time() - 75)
    apple = row(page, "AAPL")
    await expect(apple).to_have_attribute("data-stale", "true")
    await expect(apple.get_by_test_id("note")).to_have_text("stale")
    await expect(apple.get_by_test_id("age")).to_have_text(re.compile(r"1 min \d+ s ago"))
    await expect(page.get_by_test_id("stream-state")).to_have_text("Symbols: 1, stale: 1")
    assert await axe(page) == []
    visitor.server.tick("AAPL", 10.0, timestamp=time.time())
    await expect(apple).not_to_have_attribute("data-stale", "true")
    await expect(apple.get_by_test_id("note")).to_be_hidden()


async def test_a_server_that_starts_anew_is_told_with_what_was_lost(tmp_path: Path) -> None:
    """Reconnecting in words while it is away; afterwards live again, and what was missed is said, not hidden."""
    async with visiting(tmp_path, Watcher) as visitor:
        page = await visitor.live("AAPL")
        visitor.server.tick("AAPL", 10.0, timestamp=time.time())
        await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text("10.00")
        port = visitor.server.port
        await visitor.server.platform.stop()
        banner = page.get_by_test_id("banner-reconnecting")
        await expect(banner).to_contain_text("Not connected to the server since")
        live = page.get_by_test_id("live-state")
        await expect(live).to_have_text(re.compile(r"reconnecting( in \d+ s)?"))
        await expect(row(page, "AAPL")).to_have_attribute("data-stale", "true")
        await expect(row(page, "AAPL").get_by_test_id("note")).to_have_text("not live")
        assert await axe(page) == []
        async with restarted(visitor, tmp_path, port) as again:
            # It may have come back by itself meanwhile, and the button be gone.
            await page.evaluate("document.querySelector('[data-testid=retry-now]')?.click()")
            await expect(live).to_have_text("live")
            await expect(banner).to_have_count(0)
            lost = page.get_by_test_id("banner-lost")
            await expect(lost).to_contain_text("Ticks were missed and cannot be had any more")
            await expect(lost).to_contain_text("The server was started anew.")
            assert await axe(page) == []
            again.tick("AAPL", 12.0, timestamp=time.time())
            await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text("12.00")
            await page.get_by_test_id("dismiss-lost").click()
            await expect(lost).to_have_count(0)


@asynccontextmanager
async def restarted(visitor: Watcher, folder: Path, port: int) -> AsyncIterator[Served]:
    """Run the server of before anew on its old port, with the sessions of before."""
    platform = Platform(settings_for(folder, port=port), with_feed=False)
    await platform.start()
    try:
        yield Served(platform, visitor.server.cookies)
    finally:
        await platform.stop()


async def test_a_revoked_permission_is_said_in_words(visitor: Watcher) -> None:
    """The rows stop and say why; figures stay as they were; asking again after it was given back helps."""
    page = await visitor.live("AAPL,IBM")
    visitor.server.tick("AAPL", 10.0, timestamp=time.time())
    await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text("10.00")
    await visitor.server.accounts.change_user("bob", denials=frozenset({"market:view"}))
    banner = page.get_by_test_id("banner-refused")
    await expect(banner).to_contain_text("You may no longer see AAPL, IBM: the permission was taken back.")
    await expect(row(page, "AAPL").get_by_test_id("note")).to_have_text("permission revoked")
    await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text("10.00")
    assert await axe(page) == []


async def test_a_session_that_is_logged_out_elsewhere_is_said_in_words(visitor: Watcher) -> None:
    """No endless reconnecting: the page says that the session is over and leads to the login and back."""
    page = await visitor.live("AAPL")
    await visitor.server.accounts.log_out(visitor.server.cookies["bob"])
    await expect(page.get_by_test_id("live-state")).to_have_text("session ended")
    banner = page.get_by_test_id("banner-ended")
    await expect(banner).to_contain_text("Your session has been logged out.")
    await expect(page.get_by_test_id("login-again")).to_have_attribute(
        "href", "/login?next=%2Fstreaming%3Fsymbols%3DAAPL"
    )
    assert await axe(page) == []


async def test_everybody_who_may_see_the_market_is_led_here(visitor: Watcher) -> None:
    """A user lands here from the start page; an administrator finds it in the navigation; others are refused."""
    page = await visitor.open("/", "bob")
    await expect(page).to_have_url(re.compile("/streaming$"))
    await expect(page.get_by_test_id("nav-streaming")).to_have_attribute("aria-current", "page")
    await expect(page.get_by_test_id("nav-feed")).to_have_count(0)
    admin = await visitor.open("/admin/websockets", "ada")
    await admin.get_by_test_id("nav-streaming").click()
    await expect(admin.get_by_role("heading", level=1)).to_have_text("Streaming prices")
    await visitor.server.accounts.change_user("mod", denials=frozenset({"market:view"}))
    refused = await visitor.open("/streaming", "mod")
    await expect(refused.get_by_test_id("error-status")).to_have_text("403")
    await expect(refused.get_by_test_id("error-detail")).to_contain_text("market:view")


@pytest.mark.parametrize(
    "look",
    [
        {"color_scheme": "dark"},
        {"viewport": {"width": 375, "height": 800}},
        {"viewport": {"width": 320, "height": 700}, "color_scheme": "dark"},
        {"viewport": {"width": 900, "height": 700}, "locale": "de"},
    ],
    ids=["dark", "narrow", "zoomed", "german"],
)
async def test_dark_narrow_zoomed_and_german_pages_are_whole(visitor: Watcher, look: dict[str, Any]) -> None:
    """No violation, nothing to scroll sideways, no row that moves when its figures change."""
    visitor.server.tick("MSFT", 5.0, timestamp=time.time() - 100)
    page = await visitor.live("AAPL,MSFT,NOPE", **look)
    visitor.server.tick("AAPL", 10.0, timestamp=time.time(), connection_id="connection_1")
    await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text(re.compile("10[.,]00"))
    await expect(row(page, "NOPE").get_by_test_id("note")).to_be_visible()
    before = await row(page, "MSFT").bounding_box()
    visitor.server.tick("AAPL", 12_345.67, timestamp=time.time(), connection_id="connection_1")
    await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text(re.compile("12[.,]345[.,]67"))
    assert await row(page, "MSFT").bounding_box() == before
    width = look.get("viewport", {}).get("width", 1440)
    assert await page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert await axe(page) == []


async def test_no_width_cuts_a_figure_or_the_button_that_removes_a_row(visitor: Watcher) -> None:
    """From a wide screen to 400 % zoom: every cell shows all of its text, and the button is inside of the list."""
    page = await visitor.live("AAPL,NOPE")
    now = time.time()
    for price in (123_456.78, 123_450.11):
        visitor.server.tick("AAPL", price, volume=1_234_567.0, timestamp=now, connection_id="connection_2")
    await expect(row(page, "AAPL").get_by_test_id("volume")).to_have_text("1,234,567")
    for width in (1440, 1280, 1250, 1249, 1150, 1149, 1024, 960, 900, 899, 768, 390, 320):
        await page.set_viewport_size({"width": width, "height": 900})
        cut = await page.evaluate(
            """() => [...document.querySelectorAll("[data-testid=watch-row] :is(td, th)")]
                 .filter((cell) => cell.offsetWidth > 0 && cell.scrollWidth > cell.clientWidth)
                 .map((cell) => cell.className)"""
        )
        assert (width, cut) == (width, [])
        inside = await page.evaluate(
            """() => Math.max(...[...document.querySelectorAll("[data-testid=watch-row] button")]
                 .map((button) => button.getBoundingClientRect().right)) <= document.documentElement.clientWidth"""
        )
        assert (width, inside) == (width, True)


async def test_nothing_flashes_for_those_who_asked_for_less_motion(visitor: Watcher) -> None:
    """With prefers-reduced-motion the price changes without an animation."""
    page = await visitor.live("AAPL", reduced_motion="reduce")
    for price in (10.0, 11.0):
        visitor.server.tick("AAPL", price, timestamp=time.time())
        await expect(row(page, "AAPL").get_by_test_id("price")).to_have_text(f"{price:.2f}")
    await expect(row(page, "AAPL").locator(".watch-price")).to_have_css("animation-name", "none")
