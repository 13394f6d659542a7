"""A rolling restart of two workers under load: what publishers and followers of both clients notice of it.

Real processes and a real Valkey; everybody uses the Python or the TypeScript client. Latency runs from the program's
call of ``publish`` (made by the clock, whether the last one is answered or not) to the follower's program, so it holds
the time in which either of them has no connection. Run: ``python -m bench.rolling [--quiet 15] [--rate 200]``.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.support.command import Service
from tests.support.population import SOCKETS_EACH, populate
from tests.support.rolling_run import PER_PUBLISHER_PER_S, RollingRun, restart, rolling_run
from tests.support.served import settings
from tests.support.valkey import ValkeyProcess

from bench.measure import line, machine, percentile

ROOMS = 5
EACH = 12
RATE = 200.0
QUIET_S = 15.0


async def run(folder: Path, *, quiet_s: float, rate: float, each: int) -> None:
    """Publish for a while, restart, publish for a while; print what was seen."""
    sockets = 2 * each + max(ROOMS, round(rate / PER_PUBLISHER_PER_S))
    people = await asyncio.to_thread(populate, folder, -(-sockets // SOCKETS_EACH), role="admin")
    with ValkeyProcess() as valkey:
        values = settings(folder, TIDEWIRE_REDIS_URL=valkey.url)
        with Service("serve", "--workers", "2", "--json", values=values, cwd=folder) as service:
            port = int((await asyncio.to_thread(service.announcement))["url"].rpartition(":")[2])
            async with rolling_run(port, people, rooms=ROOMS, python=each, node=each, per_s=rate) as seen:
                # The first second holds everybody's first entry.
                await asyncio.sleep(1.0)
                marks = [time.monotonic()]
                await asyncio.sleep(quiet_s)
                marks.append(time.monotonic())
                # Two workers and the feed.
                await restart(service, 3)
                marks.append(time.monotonic())
                await asyncio.sleep(quiet_s)
                marks.append(time.monotonic())
    tell(seen, marks)


def tell(seen: RollingRun, marks: list[float]) -> None:
    """Print the verdict and the latencies of each part."""
    before, restarted, done, after = marks
    line("publishes acknowledged", seen.acknowledged(), "")
    line("publishes that raised, or rooms that were lost", len(seen.all_troubles()), "", "bar 0")
    line("lost, doubled, reordered (history checker)", len(seen.violations()), "", "bar 0")
    line("deliveries", sum(len(each.arrivals) for each in seen.followers), "")
    line("publishes asked again, the broker not having answered", seen.asked_again, "")
    for (code, reason), times in sorted(seen.endings().items(), key=str):
        line(f"connections ended with {code} {reason}", times, "", "bar: 4000 only")
    line("the restart took", done - restarted, "s")
    parts = {"before": (before, restarted), "during": (restarted, done), "after": (done, after)}
    for kind in ("python", "node"):
        for name, (begin, end) in parts.items():
            took = seen.latencies(kind, begin, end)
            for what, percent in (("p50", 50), ("p99", 99), ("longest", 100)):
                line(f"{kind}: publish to receive, {name}, {what}", percentile(took, percent) * 1000, "ms")
    for kind in ("python", "node"):
        during = seen.latencies(kind, restarted, done)
        line(f"{kind}: during, later than 50 ms", 100 * sum(took > 0.05 for took in during) / len(during), "%")


def main() -> None:
    """Run it once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quiet", type=float, default=QUIET_S, help="seconds before and after the restart")
    parser.add_argument("--rate", type=float, default=RATE, help="messages a second in all")
    parser.add_argument("--clients", type=int, default=EACH, help="followers with each client")
    given = parser.parse_args()
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['kernel']}, load before the run {facts['load_average']}")
    print(f"2 workers; {given.rate:g} messages/s over {ROOMS} rooms; {given.clients} followers of each kind")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), quiet_s=given.quiet, rate=given.rate, each=given.clients))


if __name__ == "__main__":
    main()
