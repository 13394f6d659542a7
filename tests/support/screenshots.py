"""Renews the pictures in docs/images: ``python -m tests.support.screenshots``. Somebody then looks at each.

``python -m tests.support.screenshots quotes`` renews those of one part only: of ``PARTS``, or ``feed``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.support.browser import Complaints, Visitors, column, open_feed, rows, running_chromium, wait_until
from tests.support.command import ROOT
from tests.support.demo import Demo, running_demo
from tests.support.page_wire import PageWire

IMAGES = ROOT / "docs" / "images"
WIDE = {"width": 1440, "height": 1080}
SMALL = {"width": 960, "height": 640}
NARROW = {"width": 390, "height": 1500}
# A picture is looked at in a browser and kept in the repository for ever.
MAX_BYTES = 300_000
# Real bars first, then synthetic ones.
WATCHED = ("AAPL", "IBM", "MSFT", "FB", "GOOG", "BOKO", "BUFU")
# Charts of the last minute are well filled by then.
SECONDS_OF_DATA = 60


def main() -> int:
    """Take every picture; return an exit code."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    complaints = Complaints()
    with tempfile.TemporaryDirectory() as folder, running_chromium() as browser:
        with running_demo(Path(folder)) as demo:
            visitors = Visitors(browser, demo.url, demo.users, complaints)
            state = visitors.signed_in("admin")
            chosen = sys.argv[1:] or [*PARTS, "quotes", "feed"]
            for name, take in PARTS.items():
                if name in chosen:
                    take(visitors, state)
            if "quotes" in chosen:
                _take_quotes(visitors, state, demo)
            if "feed" not in chosen:
                return 0
            page = _take_live(visitors, state)
        complaints.expect("ERR_CONNECTION_REFUSED")
        expect(page.get_by_test_id("banner-reconnecting")).to_be_visible()
        _take(page, "admin-websockets-reconnecting")
        visitors.close()
    for text in complaints.unexpected:
        print(f"the browser complained: {text}", file=sys.stderr)
    return 1 if complaints.unexpected else 0


def _take_quotes(visitors: Visitors, state: Any, demo: Demo) -> None:
    """Take a quote while its scripted colleagues edit it, and the list."""
    page = visitors.open(state, viewport=WIDE)
    page.goto(f"/quotes/{demo.quotes[0]}")
    expect(page.get_by_test_id("person")).to_have_count(3)
    expect(page.get_by_test_id("premium")).to_have_attribute("data-premium", "known")
    # Both of them have changed something, and one is in a field just now.
    for name in demo.colleagues[:2]:
        expect(page.get_by_test_id("history")).to_contain_text(name)
    expect(page.locator("[data-others]")).not_to_have_count(0)
    expect(page.get_by_test_id("premium")).to_have_attribute("data-premium", "known")
    _take(page, "quote")
    page.goto("/quotes")
    expect(page.get_by_test_id("row")).not_to_have_count(0)
    page.set_viewport_size(SMALL)
    _take(page, "quotes")
    page.context.close()


def _take_analytics(visitors: Visitors, state: Any) -> None:
    """Take the dashboard of quotes with the demo's past."""
    page = visitors.open(state, viewport=WIDE)
    page.goto("/analytics")
    expect(page.get_by_test_id("chart-created").locator("canvas")).to_have_count(1)
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "live")
    _take(page, "analytics")
    page.context.close()


def _take_vitals(visitors: Visitors, state: Any) -> None:
    """Take the pages of health and performance of a demo that has run for a while."""
    for name, options in (("health", {}), ("health-dark", {"color_scheme": "dark"}), ("performance", {})):
        page = visitors.open(state, viewport=WIDE, **options)
        page.goto(f"/admin/{name.partition('-')[0]}")
        # Readings come every five seconds; a chart of a few of them shows nothing.
        expect(page.get_by_test_id("nodes").get_by_test_id("row")).to_have_count(1)
        expect(page.get_by_test_id("charts").locator("canvas")).not_to_have_count(0)
        page.wait_for_timeout(SECONDS_OF_DATA * 1000 if name == "health" else 6_000)
        page.mouse.move(2, 2)
        _take(page, f"admin-{name}")
        page.context.close()


def _take_dashboards(visitors: Visitors, state: Any) -> None:
    """Take the built-in dashboard; its charts are full by now."""
    page = visitors.open(state, viewport=WIDE)
    page.goto("/admin")
    expect(page.get_by_test_id("widget")).not_to_have_count(0)
    page.wait_for_timeout(6_000)
    page.mouse.move(2, 2)
    _take(page, "admin-dashboards")
    page.context.close()


def _take_lists(visitors: Visitors, state: Any) -> None:
    """Take the lists of connections and rooms, and the shipped rules of alerts: in the demo all is well."""
    for name in ("connections", "rooms", "alerts"):
        page = visitors.open(state, viewport=WIDE)
        page.goto(f"/admin/{name}")
        if name == "alerts":
            page.get_by_test_id("rules").locator("summary").click()
        expect(page.get_by_test_id("row").first).to_be_visible()
        page.wait_for_timeout(3_000)
        page.mouse.move(2, 2)
        _take(page, f"admin-{name}")
        page.context.close()


# In this order: the later ones show what has been measured meanwhile.
PARTS = {"analytics": _take_analytics, "vitals": _take_vitals, "dashboards": _take_dashboards, "lists": _take_lists}


def _take_live(visitors: Visitors, state: Any) -> Page:
    """Take every picture of a running demo; return a page that is left open."""
    login = visitors.open(viewport=SMALL)
    login.goto("/login")
    _take(login, "login")
    streaming = visitors.open(visitors.signed_in("viewer"), viewport=SMALL)
    streaming.goto(f"/streaming?symbols={','.join(WATCHED)}")
    page = visitors.open(state, viewport=WIDE)
    wire = PageWire(page)
    open_feed(page)
    page.get_by_test_id("range").select_option("60")
    wait = SECONDS_OF_DATA * 1000 + 20_000
    wait_until(page, lambda: _seconds(wire) >= SECONDS_OF_DATA, "a minute of data", wait)
    page.mouse.move(2, 2)
    _take(page, "admin-websockets")
    _take(streaming, "streaming")
    streaming.context.close()
    _variant(visitors, state, "dark", color_scheme="dark", viewport=WIDE)
    _variant(visitors, state, "narrow", viewport=NARROW)
    page.get_by_test_id("pause-all").click()
    wait_until(page, lambda: "," in page.get_by_test_id("sum-held").inner_text(), "a thousand held ticks")
    _take(page, "admin-websockets-paused")
    rows(column(page, 1)).first.click()
    expect(page.get_by_test_id("inspect-verdict")).to_be_visible()
    page.mouse.move(2, 2)
    _take(page, "admin-websockets-inspect")
    page.keyboard.press("Escape")
    page.get_by_test_id("pause-all").click()
    return page


def _variant(visitors: Visitors, state: Any, name: str, **options: Any) -> None:
    page = visitors.open(state, **options)
    page.add_init_script("localStorage.setItem('tidewire.range', '60')")
    open_feed(page)
    expect(rows(column(page, 3))).to_have_count(50)
    _take(page, f"admin-websockets-{name}")
    page.context.close()


def _seconds(wire: PageWire) -> int:
    """Return how many seconds of history the page has."""
    snapshots = wire.answers("request_snapshot")
    before = len(snapshots[0]["history"]["connection_1"]["points"]) if snapshots else 0
    return before + sum(event == "history_update" for event, _ in wire.received)


def _take(page: Page, name: str) -> None:
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    if size > MAX_BYTES:
        raise SystemExit(f"{path.name} is larger than {MAX_BYTES:,} bytes: make the picture smaller")


if __name__ == "__main__":
    sys.exit(main())
