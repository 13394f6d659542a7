"""The whole page by keyboard."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.support.browser import column, rows

FOCUSED = """() => {
    const one = document.activeElement, look = getComputedStyle(one), box = one.getBoundingClientRect();
    return { name: one.dataset.testid ?? one.dataset.part ?? one.id ?? "", tag: one.tagName,
        column: one.closest("[data-connection]")?.dataset.connection ?? "",
        visible: box.width > 0 && box.height > 0,
        marked: (look.outlineStyle !== "none" && look.outlineWidth !== "0px") || look.boxShadow !== "none" };
}"""
MUST_REACH = {"nav-feed", "user-menu", "palette-open", "help-open", "feed-control", "filter-symbols", "pause-all",
              "clear-all", "range", "chart-metric", "universe", "pause", "clear"}  # fmt: skip


def test_tab_reaches_everything_and_the_focus_is_seen(feed: Page) -> None:
    """From the top to the end of the page, every control takes the focus visibly; the first is the skip link."""
    for number in (1, 2, 3):
        # A busy machine may take a while to the first one, and none comes while paused.
        expect(rows(column(feed, number)).first).to_be_visible()
    # Not by a click: Tab goes on from where one has clicked.
    feed.keyboard.press("Shift+Space")
    expect(feed.get_by_test_id("pause-all")).to_have_attribute("aria-pressed", "true")
    feed.keyboard.press("Tab")
    expect(feed.get_by_role("link", name="Skip to the content")).to_be_focused()
    seen = [feed.evaluate(FOCUSED)]
    while len(seen) < 200:
        feed.keyboard.press("Tab")
        at = feed.evaluate(FOCUSED)
        if at["tag"] == "BODY":
            break
        seen.append(at)
    assert len(seen) < 200, "the focus is caught somewhere"
    assert [one for one in seen if not one["visible"]] == []
    assert [one["name"] for one in seen if not one["marked"]] == []
    # A summary has the test id of its text inside; it counts by its column instead.
    summaries = {one["column"] for one in seen if one["tag"] == "SUMMARY"}
    assert summaries == {"connection_1", "connection_2", "connection_3"}
    assert MUST_REACH - {"universe"} <= {one["name"] for one in seen}
    assert {one["column"] for one in seen if one["tag"] == "TR"} == summaries, "a tick of each column"


def test_space_pauses_the_column_in_focus_and_shift_space_all(feed: Page) -> None:
    """1 to 3 go to a column, Space pauses its view, Shift+Space all views."""
    feed.keyboard.press("2")
    expect(column(feed, 2)).to_be_focused()
    feed.keyboard.press("Space")
    expect(column(feed, 2).get_by_test_id("pause")).to_have_attribute("aria-pressed", "true")
    expect(column(feed, 1).get_by_test_id("pause")).to_have_attribute("aria-pressed", "false")
    feed.keyboard.press("Space")
    expect(column(feed, 2).get_by_test_id("pause")).to_have_attribute("aria-pressed", "false")
    feed.keyboard.press("Shift+Space")
    for number in (1, 2, 3):
        expect(column(feed, number).get_by_test_id("pause")).to_have_attribute("aria-pressed", "true")
    feed.keyboard.press("Shift+Space")
    for number in (1, 2, 3):
        expect(column(feed, number).get_by_test_id("pause")).to_have_attribute("aria-pressed", "false")


def test_the_list_of_shortcuts_and_the_palette_open_close_and_give_the_focus_back(feed: Page) -> None:
    """? and Ctrl-K open, Escape closes, and the focus is where it was; typing in a field is typing."""
    feed.get_by_test_id("pause-all").focus()
    feed.keyboard.press("?")
    expect(feed.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    feed.keyboard.press("Escape")
    expect(feed.get_by_role("dialog")).to_have_count(0)
    expect(feed.get_by_test_id("pause-all")).to_be_focused()
    feed.keyboard.press("Control+k")
    expect(feed.get_by_role("combobox", name="Find pages")).to_be_focused()
    feed.keyboard.press("Escape")
    expect(feed.get_by_test_id("pause-all")).to_be_focused()
    feed.keyboard.press("/")
    expect(feed.get_by_test_id("filter-symbols")).to_be_focused()
    feed.keyboard.type("?1 ")
    expect(feed.get_by_test_id("filter-symbols")).to_have_value("?1 ")
    expect(feed.get_by_role("dialog")).to_have_count(0)


def test_the_palette_finds_a_symbol_and_filters_by_it(feed: Page) -> None:
    """Ctrl-K, a symbol, Enter: the streams show that symbol only."""
    feed.keyboard.press("Control+k")
    feed.keyboard.type("msft")
    expect(feed.get_by_role("listbox", name="Results").get_by_role("option").first).to_contain_text("MSFT")
    feed.keyboard.press("Enter")
    expect(feed).to_have_url(re.compile(r"\?symbols=MSFT$"))
    expect(column(feed, 2).locator("tbody tr:not([hidden]):not([data-symbol=MSFT])")).to_have_count(0)


def test_rows_are_walked_by_arrow_keys_and_enter_inspects(feed: Page) -> None:
    """Down and End move in the list, Enter opens the tick, Escape comes back to its row."""
    place = column(feed, 3)
    expect(rows(place)).to_have_count(50)
    # Paused, so that a row is the same row from one step of the test to the next.
    place.get_by_test_id("pause").click()
    expect(place.get_by_test_id("pause")).to_have_attribute("aria-pressed", "true")
    rows(place).first.focus()
    feed.keyboard.press("ArrowDown")
    feed.keyboard.press("ArrowDown")
    expect(rows(place).nth(2)).to_be_focused()
    symbol = rows(place).nth(2).get_attribute("data-symbol") or ""
    feed.keyboard.press("Enter")
    dialog = feed.get_by_role("dialog", name="Tick in detail")
    expect(dialog.get_by_test_id("inspect-raw")).to_contain_text(symbol)
    feed.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(rows(place).nth(2)).to_be_focused()
    feed.keyboard.press("End")
    expect(rows(place).nth(49)).to_be_focused()
