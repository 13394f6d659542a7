"""From a program that publishes, or from a feed in a process of its own, to a pixel in Chromium."""

from __future__ import annotations

import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.axe import violations
from tests.support.browser import Complaints, Visitors, column, open_feed, rows, running_chromium
from tests.support.command import Service
from tests.support.served import USERS, serving

pytestmark = pytest.mark.browser
CHANNEL = "tickstock:market:ticks"
# Each runs, marks the page or reports a violation if it is ever taken for HTML, a URL or a script.
PAYLOADS = (
    "<img src=x onerror=pwned()>", "<script>pwned()</script>", "<svg onload=pwned()>", "<b onclick=pwned()>x",
    "\"><img src=x onerror=pwned()>", "' onfocus=pwned() autofocus '", "javascript:pwned()", "{{pwned()}}",
    "${pwned()}", "<iframe srcdoc='<script>pwned()</script>'>", "<a href=javascript:pwned()>x</a>",
    "</td><script>pwned()</script>", "<style>*{x:expression(pwned())}</style>",
    "<math><mi xlink:href=javascript:pwned()>",
    "&lt;img src=x onerror=pwned()&gt;", "\\u003cimg src=x onerror=pwned()\\u003e", "<!--><img src=x onerror=pwned()>",
    "<details open ontoggle=pwned()>", "<input onfocus=pwned() autofocus>", "<object data=javascript:pwned()>",
)  # fmt: skip


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Chromium; of the module, because Playwright's loop must be gone before async tests run."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """What the browser complains about in this test; anything unexpected fails it."""
    heard = Complaints()
    yield heard
    assert heard.unexpected == []


class Publisher:
    """Another program with one connection to Redis; speaks its protocol by hand."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self._answers = self._socket.makefile("rb")

    def publish(self, **fields: object) -> None:
        """Publish one tick and read the server's answer."""
        tick = {"type": "market_tick", "price": 1.0, "volume": 10, "timestamp": time.time(), "source": "outside"}
        words = (b"PUBLISH", CHANNEL.encode(), json.dumps({**tick, **fields}).encode())
        self._socket.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
        assert self._answers.readline().startswith(b":")

    def close(self) -> None:
        """Hang up."""
        self._answers.close()
        self._socket.close()


@pytest.fixture
def publisher(valkey_url: str) -> Iterator[Publisher]:
    """A program that publishes."""
    one = Publisher(valkey_url)
    yield one
    one.close()


def visit(chromium: Browser, url: str, complaints: Complaints) -> tuple[Visitors, Page]:
    """Return the administrator's live feed page, and what closes it."""
    visitors = Visitors(chromium, url, USERS, complaints)
    return visitors, open_feed(visitors.open(visitors.signed_in("admin")), columns=2)


@pytest.mark.long
def test_what_another_program_publishes_is_seen_as_text_and_soon(
    chromium: Browser, complaints: Complaints, publisher: Publisher, values: dict[str, str], folder: Path
) -> None:
    """An outside tick reaches its column; 200 hostile strings run nothing; what is malformed is said on the page."""
    with serving(values, folder) as (_, url):
        visitors, page = visit(chromium, url, complaints)
        page.evaluate("() => { window.ran = 0; window.pwned = () => { window.ran += 1; }; }")
        print(f"publish -> row on the page: {pixel_ms(page, publisher):.0f} ms")  # noqa: T201
        publisher.publish(symbol="ZZZZ", price=12.5)
        expect(rows(page.get_by_test_id("unassigned")).first).to_contain_text("ZZZZ")
        expect(page.get_by_test_id("unassigned-count")).to_contain_text("1 since")
        hostile = [f"{text}{number}" for number, text in zip(range(100), itertools.cycle(PAYLOADS), strict=False)]
        for number, text in enumerate(hostile):
            publisher.publish(symbol=text)
            publisher.publish(symbol=f"SAFE{number}", source=text[:64], event=text[:16])
        expect(page.get_by_test_id("banner-bus-errors")).to_contain_text("100 messages")
        expect(rows(page.get_by_test_id("unassigned")).first).to_contain_text("SAFE99")
        page.get_by_test_id("filter-text").fill("pwned")
        expect(rows(page.get_by_test_id("unassigned")).first).to_contain_text("SAFE99")
        for row in range(0, 20, 4):
            rows(page.get_by_test_id("unassigned")).nth(row).click()
            expect(page.get_by_test_id("inspect-raw")).to_contain_text("pwned()")
            page.keyboard.press("Escape")
        assert violations(page) == []
        assert page.evaluate("window.ran") == 0
        assert complaints.found == []
        # The negative control: the same text as HTML is noticed by these two means.
        complaints.expect("CSP script-src|violates the following Content Security Policy|404")
        page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", PAYLOADS[0])
        page.wait_for_event("console", lambda message: "CSP script-src" in message.text)
        visitors.close()


@pytest.mark.long
def test_a_feed_in_its_own_process_is_shown_missed_when_killed_and_found_again(
    chromium: Browser, complaints: Complaints, values: dict[str, str], folder: Path
) -> None:
    """Ticks and status cross processes; a killed feed is told soon, its figures marked old; then it is back."""
    with serving(values, folder, "--no-feed") as (_, url):
        with Service("feed", values=values, cwd=folder) as feed:
            visitors, page = visit(chromium, url, complaints)
            expect(rows(column(page, 1))).not_to_have_count(0)
            feed.kill()
        expect(page.get_by_test_id("banner-silent")).to_contain_text("has said nothing since")
        for number in (1, 2):
            expect(column(page, number)).to_have_attribute("data-status", "error")
            expect(column(page, number)).to_have_attribute("data-stale", "true")
        expect(page.get_by_test_id("sum-connected")).to_have_text("0 of 2")
        assert page.context.request.get("/api/admin/websocket-status").json()["status"] == "degraded"
        assert violations(page) == []
        with Service("feed", values=values, cwd=folder) as feed:
            expect(page.get_by_test_id("banner-silent")).to_have_count(0)
            expect(page.locator("[data-testid=column][data-status=connected]")).to_have_count(2)
            page.get_by_test_id("clear-all").click()
            expect(rows(column(page, 1))).not_to_have_count(0)
            assert feed.stop() == 0
        visitors.close()


def pixel_ms(page: Page, publisher: Publisher) -> float:
    """Publish a tick of an owned symbol; return how long it took until its row was in the page, milliseconds."""
    place = column(page, 2)
    seen: Any = place.evaluate_handle(
        """(column) => ({ at: new Promise((seen) => new MutationObserver(() => {
            const row = [...column.querySelectorAll("tbody tr")].find((one) => one.textContent.includes("4,321.25"));
            if (row !== undefined) seen(Date.now());
        }).observe(column, { subtree: true, childList: true, characterData: true })) })"""
    )
    began = time.time()
    publisher.publish(symbol="TSLA", price=4321.25)
    arrived: float = seen.evaluate("(watch) => watch.at")
    return arrived - began * 1000
