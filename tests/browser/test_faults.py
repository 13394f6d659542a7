"""What the operator sees when the venue misbehaves. These tests have a demo of their own, because they break it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import violations
from tests.support.browser import Complaints, Visitors, column, open_feed
from tests.support.demo import Demo, running_demo


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo to break."""
    with running_demo(tmp_path_factory.mktemp("broken"), rate=200, tickers=30) as running:
        yield running


@pytest.fixture(scope="module")
def entry(chromium: Browser, broken: Demo) -> Any:
    """The profile of its administrator."""
    return Visitors(chromium, broken.url, broken.users, Complaints()).signed_in("admin")


@pytest.fixture
def page(chromium: Browser, broken: Demo, entry: Any, complaints: Complaints) -> Iterator[Page]:
    """Its feed page, live."""
    visitors = Visitors(chromium, broken.url, broken.users, complaints)
    yield open_feed(visitors.open(entry))
    visitors.close()


def test_a_dropped_line_is_shown_with_its_cause_and_its_return(broken: Demo, page: Page) -> None:
    """One badge leaves connected and says why and when it is tried again; the others stay; then it is back."""
    broken.press("refuse", count=3)
    first = min(one["id"] for one in broken.market()["connections"])
    broken.press("drop", connection=first)
    lost = page.locator("[data-testid=column]:not([data-status=connected])")
    expect(lost).to_have_count(1)
    number = int((lost.get_attribute("data-connection") or "").removeprefix("connection_"))
    place = column(page, number)
    expect(place.get_by_test_id("badge")).not_to_contain_text("Connected")
    expect(place.get_by_test_id("last-error")).to_have_attribute("data-tone", "error")
    expect(place.get_by_test_id("last-error")).to_contain_text("Last error")
    expect(page.get_by_test_id("sum-connected")).to_have_text("2 of 3")
    expect(place.get_by_test_id("badge")).to_have_attribute("data-status", "connected")
    expect(page.get_by_test_id("sum-connected")).to_have_text("3 of 3")
    expect(place.get_by_test_id("reconnects")).not_to_have_text("0")
    place.get_by_test_id("endings").click()
    endings = place.locator("[data-part=endings-list] li")
    expect(endings.last).to_contain_text("stream")
    expect(endings.last.locator("code")).to_have_text("tcp_reset")
    assert violations(page) == []


def test_a_silent_venue_is_told_apart_from_a_lost_one(broken: Demo, page: Page) -> None:
    """Lines that are connected and say nothing are called stale (at night: market closed), and live once they speak."""
    broken.press("mute")
    for number in (1, 2, 3):
        expect(column(page, number)).to_have_attribute("data-state", re.compile("^(stale|market_closed)$"))
        expect(column(page, number)).to_have_attribute("data-status", "connected")
        expect(column(page, number).get_by_test_id("badge")).to_have_text(
            re.compile("Connected · (stale|market closed)")
        )
    broken.press("unmute")
    expect(page.locator("[data-testid=column][data-state=live]")).to_have_count(3)


def test_a_malformed_frame_costs_one_error_and_is_kept_as_a_sample(broken: Demo, page: Page) -> None:
    """The error is counted in the column, the line stays connected."""
    before = page.get_by_test_id("sum-errors").inner_text()
    broken.press("malformed")
    expect(page.get_by_test_id("sum-errors")).not_to_have_text(before)
    expect(page.locator("[data-testid=column][data-status=connected]")).to_have_count(3)
    expect(column(page, 1).get_by_test_id("parse_errors")).not_to_have_text("0")
