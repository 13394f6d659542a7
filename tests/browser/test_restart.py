"""The page while its server goes away and comes back."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.support.axe import violations
from tests.support.browser import Complaints, Visitors, column, open_feed, rows, tick_ids, wait_until
from tests.support.page_wire import PageWire
from tests.support.served import USERS, add_admin, serving, settings


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A platform whose sessions outlive it, with one administrator."""
    folder = tmp_path_factory.mktemp("restart")
    found = settings(folder)
    add_admin(found, folder)
    return found


def test_a_page_says_that_its_server_is_gone_and_is_live_again_when_it_is_back(
    chromium: Browser, values: dict[str, str], tmp_path: Path, complaints: Complaints
) -> None:
    """Reconnecting in words with a countdown, figures marked old; then live, with its pause and its filter in force."""
    with serving(values, tmp_path) as (_, url):
        visitors = Visitors(chromium, url, USERS, complaints)
        page = visitors.open(visitors.signed_in("admin"))
        wire = PageWire(page)
        open_feed(page, "?symbols=AAPL,TSLA", columns=2)
        column(page, 1).get_by_test_id("pause").click()
        expect(column(page, 1).get_by_test_id("stream-state")).to_contain_text("Paused")
        expect(rows(column(page, 2))).not_to_have_count(0)
        complaints.expect("ERR_CONNECTION_REFUSED")
    expect(page.get_by_test_id("banner-reconnecting")).to_contain_text("Not connected to the server since")
    # The icon in the tab says so too, though nobody can be asked for the picture now.
    expect(page.locator("#favicon")).to_have_attribute("href", re.compile("^data:image/svg.*dc3545"))
    expect(page.get_by_test_id("live-state")).not_to_have_attribute("data-state", "live")
    expect(column(page, 1)).to_have_attribute("data-stale", "true")
    expect(page.get_by_test_id("retry-now")).to_be_visible()
    expect(column(page, 2).get_by_test_id("stream-state")).to_have_text("")
    assert violations(page) == []
    paused = len(wire.answers("pause_stream"))
    with serving({**values, "TIDEWIRE_PORT": str(urlsplit(url).port)}, tmp_path):
        expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
        expect(page.get_by_test_id("banner-reconnecting")).to_have_count(0)
        expect(column(page, 2)).not_to_have_attribute("data-stale", "true")
        expect(column(page, 1).get_by_test_id("stream-state")).to_contain_text("Paused")
        # Until the new server has answered, it sends what every newcomer gets.
        wait_until(page, lambda: len(wire.answers("pause_stream")) > paused, "the pause, told again")
        since = len(wire.received)
        wait_until(page, lambda: len(wire.ticks(since)) >= 5, "five ticks of the new server")
        assert {tick["symbol"] for tick in wire.ticks(since)} == {"TSLA"}
        expect(rows(column(page, 2))).not_to_have_count(0)
        assert tick_ids(column(page, 2))
        visitors.close()
