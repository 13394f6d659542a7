"""The hub under load: memory, connects, broadcast, batch, many rooms, a stalled reader. One run, ratios, the machine.

Server and load generator are processes of their own on loopback; they share the machine's cores, so latencies include
the generator's own work. The limit is a plain loop of send(2) over as many sockets in the same run.
Run: ``python -m bench.hub``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EVERYBODY = 10_000


class Child:
    """A process that obeys one JSON command a line."""

    def __init__(self, *module: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        )

    def tell(self, do: str, **members: Any) -> None:
        """Give a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **members}) + "\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Read an answer."""
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def ask(self, do: str, **members: Any) -> dict[str, Any]:
        """Give a command and read the answer."""
        self.tell(do, **members)
        return self.hear()

    def end(self) -> None:
        """Let it finish."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)


@contextmanager
def pair(kind: str) -> Iterator[tuple[Child, Child, int]]:
    """A server and a load generator for it."""
    server, load = Child("bench.hub_server", kind), Child("bench.hub_load")
    try:
        yield server, load, server.hear()["port"]
    finally:
        load.end()
        server.end()


def line(what: str, value: float, unit: str, bar: str = "") -> None:
    """Print one figure."""
    print(f"  {what:<58} {value:>12,.2f} {unit:<12} {bar}")


def broadcast(server: Child, load: Child, sockets: int, messages: int) -> dict[str, float]:
    """Publish to everybody a few times, slowly, and return CPU per delivery and latencies."""
    load.tell("collect", expect=sockets * messages, timeout_s=5.0)
    sent = server.ask("publish", room="app:x", count=messages, rate=2)
    seen = load.hear()
    assert seen["seen"] == sockets * messages, seen
    return {"us": sent["cpu_s"] / (sockets * messages) * 1e6, "p50": seen["p50_ms"], "p99": seen["p99_ms"]}


def wide(sockets: int) -> None:
    """Memory, connects and a broadcast to all, against the limit."""
    print(f"\n{sockets} sockets, 200-byte messages, plain subprotocol")
    with pair("limit") as (server, load, port):
        load.ask("connect", port=port, count=sockets, batch=False, raw=True)
        broadcast(server, load, sockets, 3)
        limit = broadcast(server, load, sockets, 8)
    with pair("hub") as (server, load, port):
        before = server.ask("collect")
        opened = load.ask("connect", port=port, count=sockets, batch=False, raw=False)
        after = server.ask("collect")
        load.ask("subscribe", room="app:x", rooms=1)
        settled = server.ask("collect")
        memory = (settled["rss_bytes"] - before["rss_bytes"]) / sockets
        line("memory per idle socket (own room and one more)", memory / 1024, "KiB", "bar 12")
        line("authenticated connects, wall clock (generator included)", opened["wall_s"], "s", "bar 3")
        line("authenticated connects, server CPU", after["process_cpu_s"] - before["process_cpu_s"], "s")
        line("the same, per second of server CPU", sockets / (after["process_cpu_s"] - before["process_cpu_s"]), "1/s")
        broadcast(server, load, sockets, 3)
        hub = broadcast(server, load, sockets, 8)
    for name, figures in (("limit loop", limit), ("hub", hub)):
        line(f"{name}: CPU per delivery", figures["us"], "us")
        line(f"{name}: p50", figures["p50"], "ms")
        line(f"{name}: p99", figures["p99"], "ms")
    line("ratio of CPU per delivery, hub / limit", hub["us"] / limit["us"], "x", "bar 1.3")
    line("ratio of p99, hub / limit", hub["p99"] / limit["p99"], "x", "bar 1.3")


def storm(sockets: int, missed: int) -> None:
    """Everybody is cut at once, messages are published meanwhile, everybody comes back and resumes."""
    print(f"\n{sockets} clients cut at once, {missed} messages missed, all reconnect and resume")
    with pair("hub") as (server, load, port):
        load.ask("connect", port=port, count=sockets, batch=True, raw=False)
        load.ask("subscribe", room="app:x", rooms=1)
        epoch, offset = server.ask("collect")["places"]["app:x0"]
        load.ask("cut")
        server.ask("publish", room="app:x", count=missed, rate=1_000)
        back = load.ask("connect", port=port, count=sockets, batch=True, raw=False)
        since = {"epoch": epoch, "offset": offset}
        resumed = load.ask("subscribe", room="app:x", rooms=1, since=since, expect=missed)
        line("resumed with everything that was missed, once", resumed["recovered"], "clients", f"bar {sockets}")
        line("time to be connected again", back["wall_s"], "s")
        line("time to have resumed after that", resumed["wall_s"], "s")


def stream(sockets: int, rooms: int, rate: int, seconds: int, *, batch: bool, stalled: int = 0) -> dict[str, float]:
    """A steady stream; returns deliveries per second, latencies and the server's share of a core."""
    with pair("hub") as (server, load, port):
        load.ask("connect", port=port, count=sockets, batch=batch, raw=False)
        load.ask("subscribe", room="app:x", rooms=rooms)
        if stalled:
            load.ask("stall", count=stalled)
        expect = (sockets - stalled) // rooms * rate * seconds
        load.tell("collect", expect=expect, timeout_s=3.0)
        sent = server.ask("publish", room="app:x", rooms=rooms, count=rate * seconds, rate=rate)
        seen = load.hear()
        assert seen["seen"] >= expect * 0.999, (seen, expect)
        return {
            "deliveries": seen["seen"] / seen["span_s"],
            "cpu": sent["cpu_s"] / seconds,
            "load_cpu": seen["client_cpu_s"] / seconds,
            "p50": seen["p50_ms"],
            "p99": seen["p99_ms"],
            "connections": server.ask("collect")["connections"],
        }


def show(what: str, found: dict[str, float], bar: str) -> None:
    """Print a stream's figures."""
    print(f"\n{what}")
    line("deliveries per second", found["deliveries"], "1/s", bar)
    line("p50", found["p50"], "ms")
    line("p99", found["p99"], "ms", "bar 50")
    line("server: share of one core", found["cpu"], "cores")
    line("load generator: share of one core", found["load_cpu"], "cores")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("wide", "storm", "batch", "rooms", "stalled"))
    parser.add_argument("--sockets", type=int, default=EVERYBODY)
    parser.add_argument("--seconds", type=int, default=10)
    chosen = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, load before the run {os.getloadavg()[0]:.1f}")
    if chosen.only in (None, "wide"):
        wide(chosen.sockets)
    if chosen.only in (None, "storm"):
        storm(chosen.sockets, 20)
    if chosen.only in (None, "batch"):
        found = stream(1_000, 1, 1_000, chosen.seconds, batch=True)
        show("1,000 sockets, one room, 1,000 messages/s, batch subprotocol", found, "bar 1,000,000")
    if chosen.only in (None, "rooms"):
        found = stream(10_000, 1_000, 2_000, chosen.seconds, batch=False)
        show("10,000 sockets in 1,000 rooms, 2,000 publishes/s", found, "(20,000 offered)")
    if chosen.only in (None, "stalled"):
        alone = stream(1_000, 1, 100, chosen.seconds, batch=False)
        beside = stream(1_000, 1, 100, chosen.seconds, batch=False, stalled=1)
        show("1,000 sockets, one room, 100 messages/s, all reading", alone, "")
        show("the same, one of them stopped", beside, "")
        line("ratio of p99, with the stalled reader / without", beside["p99"] / alone["p99"], "x", "bar 1.1")


if __name__ == "__main__":
    main()
