"""Status API: GET /api/admin/websocket-status while 1,000 ticks/s come in over three connections of 120 tickers each.

One kept-alive connection asks as an administrator, with uneven pauses, so that it never keeps step with the server's
loops; every second request goes to /livez on the same connection, which is the baseline: what any answer costs here.
Bar: p99 < 50 ms.
"""

from __future__ import annotations

import http.client
import json
import random
import time
from urllib.parse import urlsplit

from bench.measure import RUNS, Figure, Result, cpu_seconds, percentile, repeat
from bench.stand import TICKERS_PER_LINE, Stand, stand
from bench.venue import LINES

RATE = 1_000
WARM_UP_S = 5.0
REQUESTS = 600
# Up to this long between two requests, evenly spread.
PAUSE_S = 0.02
BAR_MS = 50.0
STATUS, LIVEZ = "/api/admin/websocket-status", "/livez"


def timed(connection: http.client.HTTPConnection, path: str, cookie: str) -> tuple[float, bytes]:
    """Return how long one request took, to the last byte of its answer, milliseconds; and the body."""
    start = time.perf_counter()
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - start) * 1000
    assert answer.status == 200, (path, answer.status, body[:200])
    return took, body


def measure_on(at: Stand) -> tuple[Figure, ...]:
    """Take one run."""
    chance = random.Random(1)
    connection = http.client.HTTPConnection(urlsplit(at.url).netloc, timeout=30)
    status, livez = [], []
    size, rate = 0, 0.0
    cpu, wall = cpu_seconds(at.server.pid), time.monotonic()
    for _ in range(REQUESTS):
        time.sleep(chance.random() * PAUSE_S)
        livez.append(timed(connection, LIVEZ, at.cookie)[0])
        time.sleep(chance.random() * PAUSE_S)
        took, body = timed(connection, STATUS, at.cookie)
        status.append(took)
        size = len(body)
        rate = sum(line["messages_per_second"] for line in json.loads(body)["connections"].values())
    cpu, wall = cpu_seconds(at.server.pid) - cpu, time.monotonic() - wall
    connection.close()
    return (
        Figure("status API, p50", percentile(status, 50), "ms", None, "below", percentile(livez, 50), "/livez"),
        Figure("status API, p99", percentile(status, 99), "ms", BAR_MS, "below", percentile(livez, 99), "/livez"),
        Figure("size of the answer", size / 1000, "kB"),
        Figure("feed rate that the API says", rate, "ticks/s"),
        Figure("CPU of the server", 100 * cpu / wall, "% of a core"),
    )


def run() -> Result:
    """Measure three times on one platform."""
    with stand(RATE) as at:
        time.sleep(WARM_UP_S)
        figures = repeat(lambda: measure_on(at))
    parameters = {
        "ticks_per_s": RATE,
        "connections": LINES,
        "tickers_each": TICKERS_PER_LINE,
        "requests": REQUESTS,
        "warm_up_s": WARM_UP_S,
        "runs": RUNS,
    }
    return Result("status_api", figures, parameters)
