"""Page load: /admin/websockets in headless Chromium, cold (cache disabled) and warm, while 1,000 ticks/s come in.

The login happens once and is not measured. Usable means: three columns stand and each shows ticks, on the page's own
clock since navigation began. Baseline of the same run: /livez, an answer of a few bytes from the same server, opened as
a page; what a navigation costs here at the least. Bar: usable < 2 s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median as middle

from playwright.sync_api import Browser, BrowserContext, Page

from bench.measure import RUNS, Figure, Result, repeat
from bench.stand import TICKERS_PER_LINE, Stand, stand
from bench.venue import LINES
from bench.watching import chromium, logged_in

RATE = 1_000
LOADS = 5
BAR_S = 2.0
TIMEOUT_S = 30.0
# Runs before the page's own code; looks once per frame, as a person would.
WATCH = """
window.benchUsable = null;
const look = () => {
  const columns = [...document.querySelectorAll('[data-testid="columns"] [data-testid="ticks"]')];
  const filled = columns.filter((one) => one.querySelector("tbody tr:not([hidden]) td")?.textContent?.trim());
  if (filled.length >= 3) window.benchUsable = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd || null"


@dataclass(frozen=True, slots=True)
class Load:
    """One load: seconds to the first content and until usable, bytes over the network."""

    paint_s: float
    usable_s: float
    received_bytes: float


def load(page: Page, url: str, usable: str, *, cold: bool) -> Load:
    """Open ``url``; ``usable`` is the expression whose number, milliseconds, says when the page can be used."""
    tools = page.context.new_cdp_session(page)
    received = 0.0

    def count(event: dict[str, float]) -> None:
        nonlocal received
        received += event["encodedDataLength"]

    tools.send("Network.enable")
    tools.send("Network.setCacheDisabled", {"cacheDisabled": cold})
    tools.on("Network.loadingFinished", count)
    page.goto(url)
    # Not wait_for_function: it makes code from text in the page, which the page's policy forbids.
    until = time.monotonic() + TIMEOUT_S
    while None in (times := page.evaluate(f"[{PAINT}, {usable}]")):
        assert time.monotonic() < until, f"{url} was not usable within {TIMEOUT_S:g} s: {times}"
        page.wait_for_timeout(20)
    paint, ready = times
    tools.detach()
    return Load(paint / 1000, ready / 1000, received)


def one_by_one(context: BrowserContext, url: str, usable: str, *, cold: bool) -> Load:
    """Return the median of several loads, each in a page of its own."""
    loads = []
    for _ in range(LOADS):
        page = context.new_page()
        loads.append(load(page, url, usable, cold=cold))
        page.close()
    return Load(
        middle(one.paint_s for one in loads),
        middle(one.usable_s for one in loads),
        middle(one.received_bytes for one in loads),
    )


def measure_on(browser: Browser, at: Stand) -> tuple[Figure, ...]:
    """Take one run: cold loads, then warm ones of the same context."""
    context = logged_in(browser, at)
    context.add_init_script(WATCH)
    address, usable = f"{at.url}/admin/websockets", "window.benchUsable"
    base = one_by_one(context, f"{at.url}/livez", LOADED, cold=True)
    cold = one_by_one(context, address, usable, cold=True)
    # The first load with the cache on fills it.
    page = context.new_page()
    load(page, address, usable, cold=False)
    page.close()
    warm = one_by_one(context, address, usable, cold=False)
    context.close()
    livez = "/livez as a page"
    return (
        Figure("usable, cold", cold.usable_s, "s", BAR_S, "below", base.usable_s, livez),
        Figure("usable, warm", warm.usable_s, "s", BAR_S, "below", base.usable_s, livez),
        Figure("first content, cold", cold.paint_s, "s", None, "below", base.paint_s, livez),
        Figure("first content, warm", warm.paint_s, "s", None, "below", base.paint_s, livez),
        Figure("transferred, cold", cold.received_bytes / 1000, "kB"),
        Figure("transferred, warm", warm.received_bytes / 1000, "kB"),
    )


def run() -> Result:
    """Measure three times, each with a fresh browser context."""
    with stand(RATE) as at, chromium() as browser:
        figures = repeat(lambda: measure_on(browser, at))
    parameters = {
        "ticks_per_s": RATE,
        "tickers": LINES * TICKERS_PER_LINE,
        "loads_per_run": f"{LOADS} cold, {LOADS} warm (median)",
        "runs": RUNS,
    }
    return Result("page_load", figures, parameters)
