"""Dark, narrow, zoomed, German: the same page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.axe import violations
from tests.support.browser import Visitors, column, open_feed, rows


def test_the_dark_theme_follows_the_system_and_can_be_chosen(visitors: Visitors, admin_state: Any) -> None:
    """A dark system gets a dark page without a flash of light, and the choice in the menu outlives a reload."""
    page = open_feed(visitors.open(admin_state, color_scheme="dark"))
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", dark)[:3])) < 80
    expect(column(page, 1)).to_have_css("border-left-color", "rgb(0, 123, 255)")
    expect(rows(column(page, 1))).not_to_have_count(0)
    assert violations(page) == []
    page.get_by_test_id("user-menu").click()
    page.get_by_label("Theme").select_option("light")
    expect(root).to_have_attribute("data-bs-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-bs-theme", "light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


@pytest.mark.parametrize("width", [375, 320])
def test_a_narrow_screen_stacks_the_columns_and_needs_no_sideways_scrolling(
    visitors: Visitors, admin_state: Any, width: int
) -> None:
    """375 px is a phone, 320 px a laptop's page at 400 % zoom (WCAG 1.4.10)."""
    page = open_feed(visitors.open(admin_state, viewport={"width": width, "height": 812}))
    expect(rows(column(page, 3))).not_to_have_count(0)
    boxes = [column(page, number).bounding_box() for number in (1, 2, 3)]
    assert len({box["x"] for box in boxes if box}) == 1
    tops = [box["y"] for box in boxes if box]
    assert tops == sorted(set(tops))
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert violations(page) == []
    page.get_by_role("button", name="Menu", exact=True).click()
    expect(page.locator("#side a").first).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Menu", exact=True)).to_be_focused()


def test_the_page_speaks_german_to_who_prefers_it(visitors: Visitors, admin_state: Any) -> None:
    """Words, numbers and the document's language; the menu changes it back."""
    page = open_feed(visitors.open(admin_state, locale="de-DE"))
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("heading", level=1)).to_have_text("Marktdaten")
    expect(column(page, 1).get_by_test_id("badge")).to_contain_text("Verbunden")
    expect(rows(column(page, 1)).first.locator(".tick-price")).to_have_text(re.compile(r",\d\d"))
    page.get_by_test_id("user-menu").click()
    page.get_by_label("Sprache").select_option("en")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("heading", level=1)).to_have_text("Market feed")
