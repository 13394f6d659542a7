"""The filter: judged by the server, kept in the URL, in force while paused."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.support.browser import Visitors, column, open_feed, rows, wait_until
from tests.support.page_wire import PageWire

NOT_AAPL = "[data-part=rows] tr:not([hidden]):not([data-symbol=AAPL])"


def test_a_filter_cuts_traffic_and_survives_a_reload(visitors: Visitors, admin_state: Any) -> None:
    """Only the symbol's rows are left, only its ticks are sent, and the URL carries it."""
    page = visitors.open(admin_state)
    wire = PageWire(page)
    open_feed(page)
    page.get_by_test_id("filter-symbols").fill("aapl")
    expect(page).to_have_url(re.compile(r"\?symbols=aapl$"))
    expect(page.get_by_test_id("filter-state")).to_contain_text("server")
    only_apple(page)
    wait_until(page, lambda: wire.asked[-1][2] is not None, "the server's answer to the filter")
    since = len(wire.received)
    wait_until(page, lambda: len(wire.ticks(since)) >= 5, "five ticks under the filter")
    assert {tick["symbol"] for tick in wire.ticks(since)} == {"AAPL"}
    expect(column(page, 2).get_by_text("No tick matches the filter")).to_be_visible()
    answered = len(wire.answers("set_options"))
    page.reload()
    expect(page.get_by_test_id("filter-symbols")).to_have_value("aapl")
    wait_until(page, lambda: len(wire.answers("set_options")) > answered, "the server's answer to the filter")
    since = len(wire.received)
    only_apple(page)
    assert {tick["symbol"] for tick in wire.ticks(since)} <= {"AAPL"}
    page.get_by_test_id("filter-clear").click()
    expect(page).to_have_url(re.compile(r"/admin/websockets$"))
    expect(rows(column(page, 2))).to_have_count(50)


def test_a_filter_works_while_paused(feed: Page) -> None:
    """A paused list is narrowed at once, and widened again, without a new tick."""
    place = column(feed, 1)
    expect(rows(place).locator("td", has_text=re.compile("^AAPL$"))).not_to_have_count(0)
    feed.get_by_test_id("pause-all").click()
    expect(place.get_by_test_id("pause")).to_have_attribute("aria-pressed", "true")
    before = rows(place).count()
    feed.get_by_test_id("filter-symbols").fill("AAPL")
    expect(place.locator(NOT_AAPL)).to_have_count(0)
    expect(place.get_by_test_id("stream-state")).to_contain_text("Paused")
    feed.get_by_test_id("filter-clear").click()
    expect(rows(place)).to_have_count(before)


def test_types_and_patterns_narrow_too_and_nonsense_is_told(visitors: Visitors, admin_state: Any) -> None:
    """Bars of symbols that begin with M; a change that is no number is refused in words."""
    page = open_feed(visitors.open(admin_state), "?symbols=M*&types=A")
    expect(page.get_by_test_id("filter-types")).to_have_value("A")
    place = column(page, 2)
    expect(rows(place)).not_to_have_count(0)
    shown = rows(place).evaluate_all("(rows) => rows.map((row) => [row.dataset.symbol[0], row.lastChild.textContent])")
    assert {tuple(one) for one in shown} == {("M", "A")}
    page.get_by_test_id("filter-min-change").fill("much")
    expect(page.get_by_test_id("filter-min-change")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_test_id("filter-state")).to_contain_text("number")


def only_apple(page: Page) -> None:
    """Wait until there are rows, and no other symbol's."""
    expect(page.locator(NOT_AAPL)).to_have_count(0)
    expect(rows(column(page, 1))).not_to_have_count(0)
