"""Pausing the feed for everybody: asked once, typed, told to every administrator."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.support.axe import violations
from tests.support.browser import Visitors, column, open_feed


def test_the_feed_is_paused_for_all_after_a_typed_word_and_resumed_by_another_administrator(
    visitors: Visitors, admin_state: Any
) -> None:
    """Consequence in words, confirmation typed, reason shown on every page; anyone entitled resumes."""
    page, other = open_feed(visitors.open(admin_state)), open_feed(visitors.open(admin_state))
    page.get_by_test_id("feed-control").click()
    dialog = page.get_by_test_id("pause-feed")
    expect(dialog).to_contain_text("Nobody gets ticks")
    go = dialog.get_by_test_id("pause-feed-go")
    expect(go).to_be_disabled()
    dialog.get_by_test_id("pause-confirm").fill("yes")
    expect(go).to_be_disabled()
    assert violations(page) == []
    dialog.get_by_label("Reason").fill("a rehearsal")
    dialog.get_by_test_id("pause-confirm").fill("pause feed")
    go.click()
    try:
        for one in (page, other):
            expect(one.get_by_test_id("banner-feed-paused")).to_contain_text("by admin")
            expect(one.get_by_test_id("banner-feed-paused")).to_contain_text("a rehearsal")
            expect(one.get_by_test_id("feed-control")).to_contain_text("Resume feed")
            for number in (1, 2, 3):
                expect(column(one, number)).to_have_attribute("data-state", "paused")
                expect(column(one, number).get_by_test_id("badge")).to_contain_text("feed paused")
        assert violations(other) == []
    finally:
        other.get_by_test_id("resume-feed").click()
    for one in (page, other):
        expect(one.get_by_test_id("banner-feed-paused")).to_have_count(0)
        expect(one.locator("[data-testid=column][data-status=connected]")).to_have_count(3)
