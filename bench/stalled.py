"""Ten of five hundred clients are stopped at a steady rate of messages: what the others and the server see (bar R4).

The stopped ones are a process of their own (SIGSTOP); twenty witnesses check every offset.
Run: ``python -m bench.stalled``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.crowd import Crowd

from bench.hub import Child, pair
from bench.measure import line
from bench.soak import MIB, rss_bytes

ROOM = "app:x0"
CLIENTS, WITNESSES = 500, 20
# The load generator answers no heartbeat, so the hub would close it after 35 s.
SECONDS = 25


def main() -> None:
    """Run it without and with stopped clients and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--stopped", type=int, default=10)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}")
    print(
        f"{CLIENTS} clients, one room, {chosen.rate} messages/s of 200 bytes for {chosen.seconds} s, batch subprotocol"
    )
    alone = run(chosen.rate, chosen.seconds, 0)
    beside = run(chosen.rate, chosen.seconds, chosen.stopped)
    for name, found in (("all reading", alone), (f"{chosen.stopped} stopped", beside)):
        for what in ("p50_ms", "p99_ms", "max_ms"):
            line(f"{name}: {what[:-3]}", found[what], "ms")
        line(f"{name}: server RSS, growth at its peak", found["rss_growth"] / MIB, "MiB")
    line("ratio of p99, with / without", beside["p99_ms"] / alone["p99_ms"], "x", "bar 1.1")
    grown = (beside["rss_growth"] - alone["rss_growth"]) / MIB / max(1, chosen.stopped)
    line("RSS growth per stopped client, beyond the run without", grown, "MiB", "bar 1.25")
    line("first stopped client's file freed after the stop", beside["first_freed_s"], "s")
    line("last one's", beside["last_freed_s"], "s", "bar 25")
    print(f"  connections left {beside['connections']} of {CLIENTS}")


def run(rate: int, seconds: int, stopped: int) -> dict[str, float]:
    """One stream; returns what was seen."""
    with pair("hub") as (server, load, port), Crowd() as crowd:
        load.ask("connect", port=port, count=CLIENTS - WITNESSES - stopped, batch=True, raw=False)
        load.ask("subscribe", room="app:x", rooms=1)
        witnesses = crowd.arrive(port, [{"Authorization": f"Bearer user-{n + 1}"} for n in range(WITNESSES)])
        crowd.enter(witnesses, ROOM)
        child = Child("tests.support.crowd") if stopped else None
        if child is not None:
            tell(child, port, stopped, seconds)
            assert child.hear() == {"inside": stopped}
        ledger = Ledger(server.process.pid)
        count = rate * seconds
        load.tell("collect", expect=(CLIENTS - WITNESSES - stopped) * count, timeout_s=3.0)
        server.tell("publish", room="app:x", count=count, rate=rate)
        with ledger:
            if child is not None:
                child.process.send_signal(signal.SIGSTOP)
            crowd.run(
                lambda: all(len(w.offsets.get(ROOM, ())) == count for w in witnesses), "all", within_s=seconds + 60
            )
        seen, _ = load.hear(), server.hear()
        assert seen["seen"] == (CLIENTS - WITNESSES - stopped) * count, seen
        assert all(w.offsets[ROOM] == list(range(1, count + 1)) and not w.strays for w in witnesses)
        left = server.ask("collect")["connections"]
        if child is not None:
            child.process.send_signal(signal.SIGCONT)
            print(f"  what the stopped ones found when they went on: {child.hear()['codes']}")
            child.end()
    return {**seen, **ledger.report(stopped), "connections": left}


def tell(child: Child, port: int, count: int, seconds: int) -> None:
    """Say whom to connect and where."""
    headers = [{"Authorization": f"Bearer user-{9_000 + n}"} for n in range(count)]
    order = {"port": port, "headers": headers, "room_id": ROOM, "within_s": seconds + 120}
    assert child.process.stdin is not None
    child.process.stdin.write(json.dumps(order) + "\n")
    child.process.stdin.flush()


class Ledger:
    """Notes a process's memory and open files ten times a second, from a thread."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._notes: list[tuple[float, int, int]] = []
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Ledger:
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def report(self, stopped: int) -> dict[str, float]:
        """Return the growth, and when the files of the stopped ones were freed."""
        _, rss, files = self._notes[0]
        freed = [at for at, _, now in self._notes if now < files]
        all_freed = [at for at, _, now in self._notes if now <= files - stopped]
        return {
            "rss_growth": max(note[1] for note in self._notes) - rss,
            "first_freed_s": freed[0] if freed else float("inf"),
            "last_freed_s": all_freed[0] if all_freed else float("inf"),
        }

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            files = sum(1 for _ in Path(f"/proc/{self._pid}/fd").iterdir())
            self._notes.append((time.monotonic() - self._start, rss_bytes(self._pid), files))


if __name__ == "__main__":
    main()
