"""What ten watching admins cost the feed: latency on the way to the bus with nobody watching and with ten.

Ten official Socket.IO clients with batches on watch from another process, at 1,000 and 5,000 ticks/s. Measured in the
platform's own process by a plain subscriber of its bus: from the trade's stamp at the venue to the subscriber
(whole milliseconds, but the only figure that sees a loop too busy to read its sockets), from the frame's receipt to the
write to the bus, and from the receipt to the subscriber. Phases with nobody and with ten alternate, so that a change of
the machine's mood falls on both. Bar: a difference below 5 ms at p99.
"""

from __future__ import annotations

import time
from typing import Any

from bench.measure import RUNS, Figure, Result, percentile, repeat
from bench.stand import TICKERS_PER_LINE, Stand, stand
from bench.venue import LINES
from bench.watching import Viewers, viewers
from tidewire.monitoring.viewer import FLUSH_EVERY_S

RATES = (1_000, 5_000)
ADMINS = 10
WARM_UP_S = 4.0
SETTLE_S = 1.0
MEASURED_S = 8.0
BAR_MS = 5.0
PATHS = {
    "sent_to_seen": "venue to bus subscriber",
    "received_to_published": "received to published",
    "received_to_seen": "received to bus subscriber",
}


def phase(at: Stand) -> dict[str, Any]:
    """Measure for a while; return p99 of every path in milliseconds, CPU share 0..1 and the rate."""
    time.sleep(SETTLE_S)
    at.server.ask(op="start")
    time.sleep(MEASURED_S)
    found = at.server.ask(op="stop")
    return {**found, **{path: percentile(found[path], 99) for path in PATHS}}


def measure_on(at: Stand, watching: Viewers, rate: int) -> tuple[Figure, ...]:
    """Take one run: nobody, then ten."""
    alone = phase(at)
    watching.open(at, ADMINS)
    watching.start()
    watched = phase(at)
    shown = watching.stop()
    watching.close()
    assert shown["ticks"] > 0, "the admins saw no tick"
    label = f"{rate:,} ticks/s: "
    nobody = "nobody watching"
    return (
        *(
            Figure(f"{label}{name}, p99 rise", watched[path] - alone[path], "ms", BAR_MS)
            for path, name in PATHS.items()
        ),
        *(
            Figure(f"{label}{name}, p99 with {ADMINS}", watched[path], "ms", None, "below", alone[path], nobody)
            for path, name in PATHS.items()
        ),
        Figure(f"{label}CPU of the server with {ADMINS}", 100 * watched["cpu"], "% of a core", None, "below",
               100 * alone["cpu"], nobody),
        Figure(f"{label}measured rate", watched["ticks_per_s"], "ticks/s", None, "below", alone["ticks_per_s"], nobody),
        Figure(f"{label}ticks shown to each admin", shown["ticks"] / ADMINS / (MEASURED_S + SETTLE_S), "ticks/s"),
    )  # fmt: skip


def run() -> Result:
    """Measure three times at each rate, each rate on a platform of its own."""
    figures: tuple[Figure, ...] = ()
    for rate in RATES:
        with stand(rate, "-m", "bench.probed_server") as at, viewers() as watching:
            time.sleep(WARM_UP_S)
            figures += repeat(lambda at=at, watching=watching, rate=rate: measure_on(at, watching, rate))
    parameters = {
        "admins": ADMINS,
        "connections": LINES,
        "tickers_each": TICKERS_PER_LINE,
        "measured_s": MEASURED_S,
        "runs": RUNS,
        "flush_every_s": FLUSH_EVERY_S,
    }
    return Result("admin_cost", figures, parameters)
