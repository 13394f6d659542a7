"""The three columns: what each connection is, how it stands, and its ticks."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.support.axe import violations
from tests.support.browser import Visitors, column, open_feed, rows, tick_ids, wait_until
from tests.support.page_wire import PageWire

BLUE, GREEN, ORANGE = "rgb(0, 123, 255)", "rgb(40, 167, 69)", "rgb(253, 126, 20)"
CONFIGURED = {1: ("primary", "market_leaders:demo"), 2: ("secondary", "technology:demo"),
              3: ("tertiary", "everything_else:demo")}  # fmt: skip


def status(page: Page) -> dict[str, Any]:
    """Return the status API's answer for the page's own session."""
    found: dict[str, Any] = page.context.request.get("/api/admin/websocket-status").json()
    return found


def test_a_column_shows_its_connection_and_how_it_stands(feed: Page) -> None:
    """Badge with word and icon, name, universe, and the tickers that the API names too."""
    for number, (name, universe) in CONFIGURED.items():
        check_column(feed, number, name, universe)


def check_column(feed: Page, number: int, name: str, universe: str) -> None:
    """Compare one column with what was configured and with what the API says."""
    place = column(feed, number)
    expect(place.get_by_role("heading", level=2)).to_have_text(name)
    expect(place.get_by_test_id("badge")).to_contain_text("Connected")
    expect(place.get_by_test_id("badge")).to_have_attribute("data-status", "connected")
    expect(place.get_by_test_id("badge").locator("use")).to_have_attribute("href", "#i-check-circle-fill")
    expect(place.get_by_test_id("universe")).to_have_text(universe)
    expect(place.get_by_test_id("last-error")).to_have_text("No error")
    expected = status(feed)["connections"][f"connection_{number}"]
    expect(place.get_by_test_id("ticker-count")).to_contain_text(str(expected["assigned_tickers"]))
    place.get_by_test_id("universe").click()
    expect(place.get_by_test_id("tickers").locator("li")).to_have_text(sorted(expected["tickers"]))
    place.get_by_test_id("ticker-search").fill(expected["tickers"][0])
    expect(place.get_by_test_id("tickers").locator("li").first).to_have_text(expected["tickers"][0])


def test_ticks_are_coloured_by_connection_and_belong_to_it(feed: Page) -> None:
    """Left edge and dot are blue, green and orange, and a column shows only symbols that its connection carries."""
    lines = status(feed)["connections"]
    for number, colour in ((1, BLUE), (2, GREEN), (3, ORANGE)):
        place = column(feed, number)
        expect(place).to_have_css("border-left-color", colour)
        expect(place).to_have_css("border-left-width", "4px")
        expect(place.locator(".dot")).to_have_css("background-color", colour)
        expect(rows(place)).to_have_count(50)
        shown = set(rows(place).evaluate_all("(rows) => rows.map((row) => row.dataset.symbol)"))
        assert shown <= set(lines[f"connection_{number}"]["tickers"])
    assert violations(feed) == []


def test_direction_is_told_by_arrow_colour_and_word(feed: Page) -> None:
    """Up is ▲ in green, down ▼ in red, and a screen reader hears the word."""
    feed.get_by_test_id("pause-all").click()
    expect(feed.get_by_test_id("pause-all")).to_have_attribute("aria-pressed", "true")
    shown = rows(feed.get_by_test_id("columns")).evaluate_all(
        """(rows) => rows.map((row) => {
            const price = row.querySelector(".tick-price");
            const [arrow, word] = price.children;
            return [row.dataset.direction, arrow.textContent, word.textContent.trim(), getComputedStyle(price).color];
        })"""
    )
    looks = {direction: (arrow, word, colour) for direction, arrow, word, colour in shown}
    assert len({tuple(one) for one in shown}) == len(looks), "one direction, one look"
    assert looks["up"][:2] == ("▲", "up")
    assert looks["down"][:2] == ("▼", "down")
    red, green = ([int(part) for part in looks[one][2][4:-1].split(",")] for one in ("down", "up"))
    assert red[0] > red[1]
    assert green[1] > green[0]


def test_figures_move_and_charts_are_full_from_the_first_second(visitors: Visitors, admin_state: Any) -> None:
    """A page opened late has the history at once; its figures are rates and ages, not guesses."""
    page = visitors.open(admin_state)
    wire = PageWire(page)
    open_feed(page)
    place = column(page, 1)
    wait_until(page, lambda: wire.answers("request_snapshot"), "the snapshot")
    snapshot = wire.answers("request_snapshot")[0]
    points = snapshot["history"]["connection_1"]["points"]
    assert len(points) > 1
    expect(place.get_by_test_id("chart-rate").locator("canvas")).to_be_visible()
    label = place.get_by_test_id("chart-rate").get_attribute("aria-label") or ""
    assert "primary" in label
    before = place.get_by_test_id("message_count").inner_text()
    expect(place.get_by_test_id("message_count")).not_to_have_text(before)
    assert float(place.get_by_test_id("messages_per_second").inner_text()) > 1
    line = status(page)["connections"]["connection_1"]
    assert line["uptime_seconds"] == pytest.approx(status(page)["timestamp"] - line["connected_since"], abs=5)
    assert line["messages_per_second"] < line["message_count"]


def test_nothing_moves_that_did_not_change(visitors: Visitors, admin_state: Any) -> None:
    """Twenty batches of ticks later every part of the page is where it was."""
    page = visitors.open(admin_state)
    wire = PageWire(page)
    open_feed(page)
    where = """() => [...document.querySelectorAll("[data-testid=column] :is(header, dl, .chart, .stream, thead)")]
        .map((one) => { const { x, y, width, height } = one.getBoundingClientRect(); return [x, y, width, height]; })"""
    expect(rows(column(page, 3))).to_have_count(50)
    before, seen = page.evaluate(where), len(wire.received)
    wait_until(page, lambda: sum(e == "tick_batch" for e, _ in wire.received[seen:]) >= 20, "twenty batches")
    assert page.evaluate(where) == before


def test_the_list_stands_still_while_somebody_looks_at_it(feed: Page) -> None:
    """Rows never move under the pointer; how much is newer is said, and leaving goes on."""
    place = column(feed, 2)
    expect(rows(place)).to_have_count(50)
    # Not a row: by the time the pointer is there, it is another one.
    place.locator("[data-part=scroll]").hover(position={"x": 60, "y": 90})
    expect(place.get_by_test_id("stream-state")).to_contain_text("newer")
    before = tick_ids(place)
    expect(place.get_by_test_id("stream-state")).to_contain_text("newer")
    batches = place.get_by_test_id("message_count").inner_text()
    expect(place.get_by_test_id("message_count")).not_to_have_text(batches)
    assert tick_ids(place) == before
    feed.mouse.move(2, 2)
    expect(place.get_by_test_id("stream-state")).to_have_text("Live")
    assert tick_ids(place)[0] > before[0]
