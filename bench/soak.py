"""Clients come and go for a long time; what the real server then holds, and how its memory grew (bar R19).

Every cycle connects, enters two rooms, publishes, hears it and leaves in one of five ways. Exit code 1 if anything but
memory is not back at the baseline. Run: ``python -m bench.soak --seconds 600 --cycles 50000``.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.coming_and_going import BATCH, cycle, ways
from tests.support.house import House, housing
from tests.support.population import populate

WARM_UP = 1_000
USERS = 40
SAMPLE_S = 1.0
MIB = 1_048_576


def main() -> int:
    """Run it once and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--cycles", type=int, default=50_000)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        people = populate(Path(folder), USERS, role="admin")
        with housing(people, Path(folder)) as house:
            return run(house, chosen.cycles, chosen.seconds)


def run(house: House, cycles: int, seconds: float) -> int:
    """Warm up, note the baseline, come and go, and compare."""
    sockets = house.holdings()["files"].count("socket")
    for _ in cycle(house, WARM_UP):
        pass
    baseline = house.settled(
        lambda now: now["connections"] == now["rooms"] == 0 and now["files"].count("socket") == sockets
    )
    samples: list[tuple[float, float]] = []
    start = time.monotonic()
    for done in cycle(house, cycles, pace_s=seconds / cycles * BATCH):
        now = time.monotonic() - start
        if not samples or now - samples[-1][0] >= SAMPLE_S:
            samples.append((now, rss_bytes(house.service.pid)))
        if done % 10_000 == 0:
            print(f"  {done} cycles after {now:.0f} s, {samples[-1][1] / MIB:.1f} MiB", flush=True)
    took_s = time.monotonic() - start
    after = house.settled(lambda now: now == baseline)
    resting = rss_bytes(house.service.pid)
    print(f"{cycles} cycles in {took_s:.0f} s after {WARM_UP} to warm up: {dict(ways(cycles))}")
    for name, before in baseline.items():
        mark = "" if after[name] == before else f"   NOT BACK: {after[name]}"
        print(f"  {name:<16} {len(before) if isinstance(before, list) else before}{mark}")
    print(f"  stalls of the loop {house.metric('tidewire_event_loop_stalls_total'):.0f}")
    half = [sample for sample in samples if sample[0] >= took_s / 2]
    first, last = samples[0][1] / MIB, samples[-1][1] / MIB
    print(f"  RSS {first:.1f} MiB at the start, {last:.1f} at the end, {resting / MIB:.1f} at rest")
    print(
        f"  RSS slope, second half: {slope(half) / MIB * 3600:+.2f} MiB/h; whole run {slope(samples) / MIB * 3600:+.2f}"
    )
    return 0 if after == baseline else 1


def slope(samples: list[tuple[float, float]]) -> float:
    """Return the slope of a least-squares line, units per second."""
    return statistics.linear_regression(*zip(*samples, strict=True)).slope


def rss_bytes(pid: int) -> int:
    """Return how much memory a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
