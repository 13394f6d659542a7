"""Clients come and go for a long time; what the real server then holds, and how its memory grew (bar R19).

Every cycle connects, enters two rooms, publishes, hears it and leaves in one of five ways. The cycles come first, so
that caches are full; the soak goes on at the same pace, and its slope is the bar's, over each ten minutes and over all.
Exit code 1 if anything but memory is not back at the baseline. Run: ``python -m bench.soak --seconds 900 --soak 600``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.coming_and_going import BATCH, cycle, ways
from tests.support.house import POOLED, WRITERS, House, housing, pooled, without_pool
from tests.support.population import populate

WARM_UP = 1_000
USERS = 40
SAMPLE_S = 1.0
REPORT_S = 60.0
WINDOW_S = 600.0
MIB = 1_048_576


def main() -> int:
    """Run it once and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="for the cycles")
    parser.add_argument("--soak", type=float, default=600.0, help="seconds that they go on afterwards")
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        people = populate(Path(folder), USERS, role="admin")
        with housing(people, Path(folder)) as house:
            return run(house, chosen.cycles, chosen.seconds, chosen.soak)


def run(house: House, cycles: int, seconds: float, soak_s: float) -> int:
    """Warm up, note the baseline, come and go, go on, and compare."""
    sockets = house.holdings()["files"].count("socket")
    for _ in cycle(house, WARM_UP):
        pass
    baseline = house.settled(
        lambda now: now["connections"] == now["rooms"] == 0 and now["files"].count("socket") == sockets
    )
    pace_s = seconds / cycles * BATCH
    pid, file_bytes = house.service.pid, {"cycles": -rss_file_bytes(house.service.pid)}
    first = come_and_go(house, cycles, pace_s)
    middle = house.settled(lambda now: without_pool(now) == without_pool(baseline))["memory"]
    file_bytes["soak"] = -rss_file_bytes(pid)
    file_bytes["cycles"] -= file_bytes["soak"]
    second = come_and_go(house, int(soak_s / pace_s) * BATCH, pace_s)
    file_bytes["soak"] += rss_file_bytes(pid)
    garbage = house.holdings()["memory"]["garbage"]
    after = house.settled(lambda now: without_pool(now) == without_pool(baseline))
    total = cycles + int(soak_s / pace_s) * BATCH
    print(f"{total} cycles in {first[-1][0] + second[-1][0]:.0f} s after {WARM_UP} to warm up: {dict(ways(total))}")
    found = without_pool(after)
    for name, before in without_pool(baseline).items():
        mark = "" if found[name] == before else f"   NOT BACK: {found[name]}"
        print(f"  {name:<16} {len(before) if isinstance(before, list) else before}{mark}")
    pools = [pooled(each) for each in (baseline, after)]
    print(f"  database connections {pools[0]} at the baseline, {pools[1]} now, {POOLED + WRITERS} at most")
    print(f"  stalls of the loop {house.metric('tidewire_event_loop_stalls_total'):.0f}")
    for name, samples in (("cycles", first), ("soak", second)):
        low, high = min(size for _, size in samples), max(size for _, size in samples)
        print(
            f"  {name:<7} {samples[-1][0]:.0f} s: RSS {samples[0][1] / MIB:.1f} MiB at its start, "
            f"{samples[-1][1] / MIB:.1f} at its end, {low / MIB:.1f} to {high / MIB:.1f}; "
            f"slope {slope(samples) / MIB * 3600:+.2f} MiB/h; of files {file_bytes[name] / MIB:+.2f} MiB"
        )
    print(f"  slope over each {WINDOW_S / 60:.0f} minutes of the soak: {', '.join(slopes(second))} MiB/h")
    print(f"  objects that only the collector could free at the end of the soak: {garbage}")
    hours = second[-1][0] / 3600
    grown = {name: after["memory"][name] - middle[name] for name in middle}
    print(
        f"  in use with nobody there, before the soak and after it: {middle['blocks']} blocks of Python "
        f"{grown['blocks']:+d}; {middle['malloc_bytes'] / MIB:.2f} MiB of malloc {grown['malloc_bytes']:+d} bytes, "
        f"{grown['malloc_bytes'] / MIB / hours:+.2f} MiB/h"
    )
    return 0 if found == without_pool(baseline) and pools[1] <= POOLED + WRITERS else 1


def come_and_go(house: House, cycles: int, pace_s: float) -> list[tuple[float, float]]:
    """Return the server's memory every second: seconds since the start, bytes. Say it every minute."""
    samples: list[tuple[float, float]] = []
    start = time.monotonic()
    said = 0
    for done in cycle(house, cycles, pace_s=pace_s):
        now = time.monotonic() - start
        if not samples or now - samples[-1][0] >= SAMPLE_S:
            samples.append((now, rss_bytes(house.service.pid)))
        if now // REPORT_S > said:
            said = int(now // REPORT_S)
            print(f"  {done} cycles after {now:.0f} s, {samples[-1][1] / MIB:.1f} MiB", flush=True)
    return samples


def slope(samples: list[tuple[float, float]]) -> float:
    """Return the slope of a least-squares line, units per second."""
    return statistics.linear_regression(*zip(*samples, strict=True)).slope


def slopes(samples: list[tuple[float, float]]) -> list[str]:
    """Return the slope over each whole window, MiB/h."""
    count = max(1, round(samples[-1][0] / WINDOW_S))
    parts = [[each for each in samples if number <= each[0] / WINDOW_S < number + 1] for number in range(count)]
    return [f"{slope(part) / MIB * 3600:+.2f}" for part in parts]


def rss_bytes(pid: int) -> int:
    """Return how much memory a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def rss_file_bytes(pid: int) -> int:
    """Return how much of that are pages of files (programs, the database's index of its log), which the kernel has."""
    shown = Path(f"/proc/{pid}/status").read_text()
    return sum(int(found) * 1024 for found in re.findall(r"^Rss(?:File|Shmem):\s+(\d+)", shown, re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main())
