"""Looking at one tick: the frame it came in, how it was understood, and when it passed each station."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import expect

from tests.support.axe import violations
from tests.support.browser import Visitors, column, open_feed, rows


def test_a_tick_is_shown_with_its_frame_its_verdict_its_timings_and_its_origin(
    visitors: Visitors, admin_state: Any
) -> None:
    """A click opens the raw frame of that very tick, and all of it can be copied as JSON."""
    page = open_feed(visitors.open(admin_state, permissions=["clipboard-read", "clipboard-write"]))
    place = column(page, 1)
    place.get_by_test_id("pause").click()
    expect(place.get_by_test_id("pause")).to_have_attribute("aria-pressed", "true")
    row = rows(place).filter(has_text="T").first
    symbol, tick = row.get_attribute("data-symbol") or "", row.get_attribute("data-tick") or ""
    row.click()
    dialog = page.get_by_test_id("inspect")
    expect(dialog.get_by_test_id("inspect-verdict")).to_have_text(re.compile(r"^Valid( \(|$)"))
    expect(dialog).to_contain_text("from the upstream frame")
    frame = json.loads(dialog.get_by_test_id("inspect-raw").inner_text())
    assert any(event["sym"] == symbol for event in frame)
    assert json.loads(dialog.get_by_test_id("inspect-decoded").inner_text())["sym"] == symbol
    steps = dialog.get_by_test_id("inspect-timings").locator("li")
    expect(steps).to_have_count(4)
    for number in range(4):
        expect(steps.nth(number).locator("time")).not_to_have_text("unknown")
    assert violations(page) == []
    dialog.get_by_test_id("inspect-copy").click()
    expect(dialog.get_by_test_id("inspect-copy")).to_contain_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["tick"]["id"] == int(tick)
    # Not the exchange's own time: that is another machine's clock.
    assert copied["timings"]["received"] <= copied["timings"]["published"] <= copied["timings"]["seen"]
    dialog.get_by_test_id("inspect-close").click()
    expect(dialog).to_be_hidden()
