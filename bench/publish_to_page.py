"""Publish to page: from a tick's write to the bus to the event in a real browser, at 1,000 ticks/s.

``tidewire serve`` reads three paced lines; headless Chromium has /admin/websockets open. Latency is the browser's
Date.now() when the page's socket delivers the batch, minus the tick's ``published``: one machine, one clock. The same
run takes the official Socket.IO client in Node as the baseline: what the browser itself adds is the ratio. Beside it
stands the time to the end of the animation frame that shows the tick. Bars: p99 < 500 ms (contract), < 50 ms (aim).
"""

from __future__ import annotations

import re
import time
from typing import Any

from playwright.sync_api import Page

from bench.measure import RUNS, Figure, Result, cpu_seconds, percentile, repeat
from bench.stand import TICKERS_PER_LINE, Stand, stand
from bench.venue import LINES
from bench.watching import Viewers, chromium, logged_in, viewers
from tidewire.monitoring.viewer import FLUSH_EVERY_S

RATE = 1_000
WARM_UP_S = 5.0
MEASURED_S = 20.0
BAR_MS = 500.0
AIM_MS = 50.0
PUBLISHED = re.compile(r'"published":([0-9.]+)')
# Runs before the page's own code. It only notes times and keeps the text: parsing waits until the end.
LISTEN = """
window.benchSeen = [];
window.benchOn = false;
const Native = window.WebSocket;
window.WebSocket = class extends Native {
  constructor(...all) {
    super(...all);
    this.addEventListener("message", ({ data }) => {
      const now = Date.now();
      if (!window.benchOn || typeof data !== "string" || !data.startsWith('42/admin-ws,["tick_batch"')) return;
      window.benchSeen.push([now, null, data]);
    });
  }
};
// Rows are written in the page's animation frame; the message is handled behind that frame's layout and paint.
let drawn = 0;
const painted = new MessageChannel();
painted.port1.onmessage = ({ data }) => {
  const now = Date.now();
  for (; drawn < data && drawn < window.benchSeen.length; drawn += 1) window.benchSeen[drawn][1] = now;
};
new MutationObserver(() => {
  if (drawn > window.benchSeen.length) drawn = 0;
  painted.port2.postMessage(window.benchSeen.length);
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-tick"] });
"""


def measure_on(page: Page, watching: Viewers, at: Stand) -> tuple[Figure, ...]:
    """Take one run on a page that is open and warm."""
    page.evaluate("window.benchSeen.length = 0; window.benchOn = true")
    watching.start()
    cpu, wall = cpu_seconds(at.server.pid), time.monotonic()
    page.wait_for_timeout(MEASURED_S * 1000)
    cpu, wall = cpu_seconds(at.server.pid) - cpu, time.monotonic() - wall
    bare = watching.stop()
    batches: list[list[Any]] = page.evaluate("window.benchOn = false, window.benchSeen")
    delivered, drawn = [], []
    for received_ms, drawn_ms, text in batches:
        published = [float(found) * 1000 for found in PUBLISHED.findall(text)]
        delivered += [received_ms - one for one in published]
        # The last batches may still wait for their frame.
        drawn += [drawn_ms - one for one in published] if drawn_ms is not None else []
    assert len(delivered) > RATE * MEASURED_S / 2, f"only {len(delivered)} ticks reached the page"
    latencies = bare["latencies_ms"]
    node = "official client in Node"
    return (
        Figure("publish to browser event, p50", percentile(delivered, 50), "ms", None, "below",
               percentile(latencies, 50), node),
        Figure("publish to browser event, p99", percentile(delivered, 99), "ms", BAR_MS, "below",
               percentile(latencies, 99), node),
        Figure("publish to browser event, p99 (aim)", percentile(delivered, 99), "ms", AIM_MS, "below",
               percentile(latencies, 99), node),
        Figure("publish to drawn frame, p50", percentile(drawn, 50), "ms"),
        Figure("publish to drawn frame, p99", percentile(drawn, 99), "ms", BAR_MS),
        Figure("ticks shown in the browser", len(delivered) / wall, "ticks/s", baseline=bare["ticks"] / wall,
               baseline_is=node),
        Figure("CPU of the server, two viewers", 100 * cpu / wall, "% of a core"),
    )  # fmt: skip


def run() -> Result:
    """Measure three times on one page."""
    with stand(RATE) as at, viewers() as watching, chromium() as browser:
        context = logged_in(browser, at)
        context.add_init_script(LISTEN)
        page = context.new_page()
        page.goto(f"{at.url}/admin/websockets")
        watching.open(at, 1)
        page.wait_for_timeout(WARM_UP_S * 1000)
        figures = repeat(lambda: measure_on(page, watching, at))
    parameters = {
        "ticks_per_s": RATE,
        "tickers": LINES * TICKERS_PER_LINE,
        "warm_up_s": WARM_UP_S,
        "measured_s": MEASURED_S,
        "runs": RUNS,
        "flush_every_s": FLUSH_EVERY_S,
    }
    return Result("publish_to_page", figures, parameters)
