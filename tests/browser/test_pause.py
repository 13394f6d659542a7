"""Pausing the view: the server holds the ticks back, counts them, and hands over the newest."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.support.axe import violations
from tests.support.browser import Visitors, column, open_feed, rows, tick_ids, wait_until
from tests.support.page_wire import PageWire

HELD = re.compile(r"Paused at \d\d:\d\d:\d\d, ([\d,]+) held")


def held(place: Locator) -> int:
    """Return how many ticks a paused column says are held; 0 before it says so."""
    found = HELD.fullmatch(place.get_by_test_id("stream-state").inner_text())
    return int(found[1].replace(",", "")) if found else 0


def live_feed(visitors: Visitors, state: Any) -> tuple[Page, PageWire]:
    """Return an open feed page and its wire."""
    page = visitors.open(state)
    wire = PageWire(page)
    return open_feed(page), wire


def test_a_paused_column_gets_no_ticks_and_resumes_with_the_newest_fifty(visitors: Visitors, admin_state: Any) -> None:
    """One column stands still and counts; the others go on; resuming shows the newest 50 and says what was skipped."""
    page, wire = live_feed(visitors, admin_state)
    place = column(page, 1)
    expect(rows(place)).to_have_count(50)
    place.get_by_test_id("pause").click()
    expect(place.get_by_test_id("pause")).to_have_text("Resume")
    wait_until(page, lambda: bool(wire.answers("pause_stream")), "the server's word on the pause")
    since, before = len(wire.received), tick_ids(place)
    wait_until(page, lambda: held(place) > 100, "100 held ticks")
    assert tick_ids(place) == before
    owners = {tick["connection_id"] for tick in wire.ticks(since)}
    assert owners == {"connection_2", "connection_3"}
    expect(page.get_by_test_id("sum-held")).not_to_have_text("0")
    assert violations(page) == []
    # The pointer on the list keeps what the resume brings from being replaced by what comes after.
    rows(place).nth(3).hover()
    page.keyboard.press("Space")
    wait_until(page, lambda: bool(wire.answers("resume_stream")), "the answer to the resume")
    answer = wire.answers("resume_stream")[0]
    expect(place.get_by_test_id("pause")).to_have_text("Pause view")
    handed = [tick["id"] for tick in answer["ticks"]["connection_1"]]
    assert len(handed) == 50
    assert handed == sorted(handed, reverse=True)
    assert min(handed) > max(before)
    assert answer["skipped"]["connection_1"] > 50
    shown = tick_ids(place)
    assert len(shown) == 50
    assert set(shown) <= set(handed) | {tick["id"] for tick in wire.ticks(since)}
    assert set(shown) & set(handed)
    page.mouse.move(2, 2)
    skipped = f"{answer['skipped']['connection_1']:,} skipped while paused"
    expect(place.get_by_test_id("stream-state")).to_have_text(f"Live; {skipped}")


def test_all_columns_pause_and_resume_together(visitors: Visitors, admin_state: Any) -> None:
    """While all is paused not one tick crosses the wire, and each column tells since when and how many are held."""
    page, wire = live_feed(visitors, admin_state)
    expect(rows(column(page, 3))).to_have_count(50)
    page.get_by_test_id("pause-all").click()
    expect(page.get_by_test_id("pause-all")).to_have_text("Resume all")
    wait_until(page, lambda: len(wire.answers("pause_stream")) >= 3, "the server's word on three pauses")
    since = len(wire.received)
    wait_until(page, lambda: all(held(column(page, n)) > 50 for n in (1, 2, 3)), "50 held in each column")
    assert wire.ticks(since) == []
    # The socket lives meanwhile: figures go on.
    assert {"held_update", "history_update"} <= {event for event, _ in wire.received[since:]}
    page.get_by_test_id("pause-all").click()
    expect(page.get_by_test_id("pause-all")).to_have_text("Pause all views")
    for number in (1, 2, 3):
        expect(column(page, number).get_by_test_id("stream-state")).to_contain_text("Live")
    wait_until(page, lambda: wire.ticks(since) != [], "ticks after the resume")
    expect(page.get_by_test_id("sum-held")).to_have_text("0")


def test_clearing_empties_the_list_and_new_ticks_fill_it(feed: Page) -> None:
    """Clear is the viewer's own: only newer ticks appear afterwards."""
    place = column(feed, 2)
    expect(rows(place)).to_have_count(50)
    newest = tick_ids(place)[0]
    place.get_by_test_id("clear").click()
    wait_until(feed, lambda: min(tick_ids(place), default=0) > newest, "newer ticks only")
    expect(rows(place)).to_have_count(50)
    assert min(tick_ids(place)) > newest
