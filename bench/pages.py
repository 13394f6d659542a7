"""The operators' pages with 10,000 connections and 2,000 ticks/s: how quick they stay, and whether they keep memory.

The whole server as people run it, a crowd that holds the connections and reads little, headless Chromium with the
pages open at once. Every second each page is asked how late its next animation frame came and how large its heap is;
every ten seconds a person sorts the connections, and the time until the rows are in the other order counts.
Run: ``python -m bench.pages``.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import BrowserContext, Page
from tests.support.crowd import Crowd
from tests.support.house import House, housing
from tests.support.population import SOCKETS_EACH, populate

from bench.measure import line, percentile
from bench.soak import MIB
from bench.watching import chromium

PAGES = ("/admin/connections", "/admin/rooms", "/admin", "/admin/websockets")
# A page is interactive if what somebody does is answered by the next frame or soon after it.
FRAME_BAR_MS, SORT_BAR_MS = 100.0, 2_000.0
LATE = """() => new Promise((done) => {
  const at = performance.now();
  requestAnimationFrame(() => done(performance.now() - at));
})"""
HEAP = "() => performance.memory.usedJSHeapSize"
TICKS = {"TIDEWIRE_SYNTHETIC_TICKS_PER_SECOND": "2000"}


def main() -> int:
    """Run it and print what was seen; exit code 1 if a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        people = populate(Path(folder), -(-chosen.connections // SOCKETS_EACH) + 1, role="super")
        with housing(people, Path(folder), **TICKS) as house, Crowd() as crowd, chromium() as browser:
            operator = len(people.cookies) - 1
            headers = [people.headers_of(house.port, n % operator) for n in range(chosen.connections)]
            guests = crowd.arrive(house.port, headers)
            print(f"  {sum(not guest.ended for guest in guests):,} connections", flush=True)
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            cookie = {"name": "tidewire_session", "value": people.cookies[operator]}
            context.add_cookies([{**cookie, "url": f"http://127.0.0.1:{house.port}"}])
            reading = threading.Event()
            reader = threading.Thread(target=read, args=(crowd, reading))
            reader.start()
            try:
                found = watch(house, context, chosen.seconds)
            finally:
                reading.set()
                reader.join()
    return report(found)


def read(crowd: Crowd, ended: threading.Event) -> None:
    """Answer heartbeats."""
    while not ended.is_set():
        crowd.breathe(0.2)


def watch(house: House, context: BrowserContext, seconds: float) -> dict[str, dict[str, list[float]]]:
    """Open the pages, look at them for a while; return milliseconds and bytes by page."""
    pages: dict[str, Page] = {}
    for path in PAGES:
        pages[path] = context.new_page()
        pages[path].goto(f"http://127.0.0.1:{house.port}{path}")
        pages[path].get_by_test_id("live-state").and_(pages[path].locator("[data-state=live]")).wait_for()
    found: dict[str, dict[str, list[float]]] = {path: {"late": [], "heap": [], "sort": []} for path in PAGES}
    began, rounds = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for path, page in pages.items():
            page.bring_to_front()
            found[path]["late"].append(page.evaluate(LATE))
            found[path]["heap"].append(page.evaluate(HEAP))
            page.wait_for_timeout(250)
        if rounds % 10 == 0:
            found[PAGES[0]]["sort"].append(sort(pages[PAGES[0]], rounds // 10))
        rounds += 1
    return found


def sort(page: Page, number: int) -> float:
    """Sort the connections by another column; return how long it took until the rows stood so, milliseconds."""
    page.bring_to_front()
    key = ("last_activity", "connected_at")[number % 2]
    began = time.monotonic()
    page.get_by_test_id(f"sort-{key}").click()
    page.locator(f"th[data-column={key}][aria-sort]").wait_for()
    page.locator("[data-part=list]:not([aria-busy])").wait_for()
    return (time.monotonic() - began) * 1000


def report(found: dict[str, dict[str, list[float]]]) -> int:
    """Print it; return the exit code."""
    missed = False
    for path, seen in found.items():
        late, heap = seen["late"], seen["heap"]
        p99 = percentile(late, 99)
        missed |= p99 >= FRAME_BAR_MS
        line(f"{path}: next frame, p50", percentile(late, 50), "ms")
        line(f"{path}: next frame, p99", p99, "ms", f"bar {FRAME_BAR_MS:g}{' MISSED' if p99 >= FRAME_BAR_MS else ''}")
        third = max(1, len(heap) // 3)
        line(f"{path}: heap, largest of the first third", max(heap[:third]) / MIB, "MiB")
        line(f"{path}: heap, largest of the last third", max(heap[-third:]) / MIB, "MiB")
    times = found[PAGES[0]]["sort"]
    longest = max(times)
    missed |= longest >= SORT_BAR_MS
    verdict = " MISSED" if longest >= SORT_BAR_MS else ""
    line("sort of the connections, longest", longest, "ms", f"bar {SORT_BAR_MS:g}{verdict}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
