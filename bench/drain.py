"""SIGTERM of the real server while thousands of authenticated clients are connected (reliability.md bar R9).

Run: ``python -m bench.drain [--clients 2000]``. What was published before the signal must have reached everybody.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from pathlib import Path

from tests.support.crowd import Crowd, Guest
from tests.support.house import ROOM, housing
from tests.support.population import SOCKETS_EACH, populate

PUBLISHED = 100


def main() -> None:
    """Run it once and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=2_000)
    clients = parser.parse_args().clients
    print(f"{platform.machine()}, {os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        run(clients, Path(folder))


def run(clients: int, folder: Path) -> None:
    """Connect, publish, signal, wait for everybody's end and the process's."""
    people = populate(folder, -(-clients // SOCKETS_EACH))
    closed_at: dict[Guest, float] = {}
    with housing(people, folder) as house, Crowd() as crowd:
        guests = house.guests(crowd, clients)
        offsets = [house.publish(n) for n in range(PUBLISHED)]
        start = time.monotonic()
        house.service.process.send_signal(signal.SIGTERM)

        def over() -> bool:
            now = time.monotonic() - start
            for guest in guests:
                if guest.close_code is not None:
                    closed_at.setdefault(guest, now)
            return all(guest.ended for guest in guests)

        crowd.run(over, "everybody's end", within_s=60)
        last_s = time.monotonic() - start
        code = house.service.wait()
        exit_s = time.monotonic() - start
    at = sorted(closed_at.values())
    stamps = sorted(m["timestamp"] for guest in guests for m in guest.heard("connection", status="closing"))
    seen, sent = most_in_a_second(at) / clients, most_in_a_second(stamps) / clients
    told = sum(bool(guest.heard("connection", status="draining")) for guest in guests)
    said = sum(bool(guest.heard("connection", status="closing")) for guest in guests)
    whole = sum(guest.offsets.get(ROOM) == offsets for guest in guests)
    print(f"{clients} clients, {PUBLISHED} messages published before the signal")
    print(f"  close codes                       {dict(Counter(guest.close_code for guest in guests))}")
    print(f"  without a close frame (1006)      {sum(guest.close_code is None for guest in guests)}")
    print(f"  told draining, told closing       {told}, {said}")
    print(f"  got every message, in order       {whole}")
    print(f"  first and last close              {at[0]:.2f} s, {at[-1]:.2f} s")
    print(f"  most closes within one second     {seen:.1%} as seen, {sent:.1%} as sent by the server")
    print(f"  last socket gone, process ended   {last_s:.2f} s, {exit_s:.2f} s, exit code {code}")


def most_in_a_second(times: list[float]) -> int:
    """Return how many of the ascending ``times`` fall into the busiest second."""
    return max((bisect_left(times, first + 1) - n for n, first in enumerate(times)), default=0)


if __name__ == "__main__":
    main()
