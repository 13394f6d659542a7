"""The hub under load: memory, connects, broadcast, batch, many rooms, a stalled reader, everybody cut at once.

Server and load generator are processes of their own on loopback; they share the machine's cores, so latencies include
the generator's own work. The limit is a plain loop of send(2) over as many sockets in the same run.
Run: ``python -m bench hub``; one part, once: ``python -m bench.hub --only batch``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.hub_load import SWEEP_S
from bench.hub_server import PAYLOAD_BYTES
from bench.measure import RUNS, Figure, Result, repeat

ROOT = Path(__file__).parents[1]
EVERYBODY = 10_000
# Sockets whose every message is looked at, where all are in one room; see hub_load.
FOLLOWED = 50
MISSED = 20
SECONDS = 10
# A little more than the bar of a million deliveries a second: what is offered is all that can arrive.
BATCH_RATE = 1_020
P99_MS = 50.0


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


def broadcast(server: Child, load: Child, sockets: int, messages: int) -> dict[str, float]:
    """Publish to everybody a few times, slowly, and return CPU per delivery and latencies."""
    load.tell("collect", expect=sockets * messages, timeout_s=5.0)
    sent = server.ask("publish", room="app:x", count=messages, rate=2)
    seen = load.hear()
    assert seen["seen"] == sockets * messages, seen
    return {"us": sent["cpu_s"] / (sockets * messages) * 1e6, "p50": seen["p50_ms"], "p99": seen["p99_ms"]}


def limit(sockets: int) -> dict[str, float]:
    """Broadcast with the plain loop."""
    with pair("limit") as (server, load, port):
        load.ask("connect", port=port, count=sockets, batch=False, raw=True)
        broadcast(server, load, sockets, 3)
        return broadcast(server, load, sockets, 8)


def wide() -> tuple[Figure, ...]:
    """Memory, connects and a broadcast to all, against the limit."""
    plain = limit(EVERYBODY)
    with pair("hub") as (server, load, port):
        before = server.ask("collect")
        opened = load.ask("connect", port=port, count=EVERYBODY, batch=False, raw=False)
        after = server.ask("collect")
        load.ask("subscribe", room="app:x", rooms=1)
        settled = server.ask("collect")
        broadcast(server, load, EVERYBODY, 3)
        hub = broadcast(server, load, EVERYBODY, 8)
    memory = (settled["rss_bytes"] - before["rss_bytes"]) / EVERYBODY / 1024
    cpu = after["process_cpu_s"] - before["process_cpu_s"]
    loop = "plain loop of send(2)"
    times = f"times the {loop}"
    return (
        Figure("memory per idle socket, own room and one more", memory, "KiB", 12.0),
        Figure("10,000 authenticated connects, server CPU", cpu, "s", 3.0),
        Figure("10,000 authenticated connects, wall clock, generator included", opened["wall_s"], "s"),
        Figure("message to 10,000 sockets, CPU per delivery", hub["us"], "us", None, "below", plain["us"], loop),
        Figure("the same as a ratio", hub["us"] / plain["us"], times, 1.3),
        Figure("message to 10,000 sockets, p50", hub["p50"], "ms", None, "below", plain["p50"], loop),
        Figure("message to 10,000 sockets, p99", hub["p99"], "ms", None, "below", plain["p99"], loop),
        Figure("the same as a ratio", hub["p99"] / plain["p99"], times, 1.3),
    )


def storm() -> tuple[Figure, ...]:
    """Everybody is cut at once, messages are published meanwhile, everybody comes back and resumes."""
    with pair("hub") as (server, load, port):
        load.ask("connect", port=port, count=EVERYBODY, batch=True, raw=False)
        load.ask("subscribe", room="app:x", rooms=1)
        epoch, offset = server.ask("collect")["places"]["app:x0"]
        load.ask("cut")
        server.ask("publish", room="app:x", count=MISSED, rate=1_000)
        back = load.ask("connect", port=port, count=EVERYBODY, batch=True, raw=False)
        since = {"epoch": epoch, "offset": offset}
        resumed = load.ask("subscribe", room="app:x", rooms=1, since=since, expect=MISSED)
    return (
        Figure("10,000 cut at once: resumed with all they missed, once", resumed["recovered"], "clients", EVERYBODY,
               "at least"),
        Figure("10,000 cut at once: time to be connected again", back["wall_s"], "s"),
        Figure("10,000 cut at once: time to have resumed after that", resumed["wall_s"], "s"),
    )  # fmt: skip


def stream(sockets: int, rooms: int, rate: int, seconds: int, *, batch: bool, stalled: int = 0) -> dict[str, float]:
    """A steady stream; returns deliveries per second, latencies and shares of a core."""
    with pair("hub") as (server, load, port):
        load.ask("connect", port=port, count=sockets, batch=batch, raw=False)
        load.ask("subscribe", room="app:x", rooms=rooms)
        if stalled:
            load.ask("stall", count=stalled)
        each = rate * seconds // rooms
        expect = (sockets - stalled) * each
        if rooms == 1:
            load.tell("follow", messages=each, followed=FOLLOWED, timeout_s=3.0)
        else:
            load.tell("collect", expect=expect, timeout_s=3.0)
        sent = server.ask("publish", room="app:x", rooms=rooms, count=rate * seconds, rate=rate)
        seen = load.hear()
        assert (seen["seen"], seen.get("faults", 0)) == (expect, 0), (seen, expect)
        return {
            "deliveries": seen["seen"] / seen["span_s"],
            "cpu": sent["cpu_s"] / seconds,
            "load_cpu": seen["client_cpu_s"] / seconds,
            "p50": seen["p50_ms"],
            "p99": seen["p99_ms"],
        }


def batch() -> tuple[Figure, ...]:
    """A thousand sockets in one room, a thousand messages a second."""
    found = stream(1_000, 1, BATCH_RATE, SECONDS, batch=True)
    what = "1,000 sockets, 1,020 messages/s, batch"
    return (
        Figure(f"{what}: deliveries", found["deliveries"], "1/s", 1_000_000, "at least"),
        Figure(f"{what}: p50", found["p50"], "ms"),
        Figure(f"{what}: p99", found["p99"], "ms", P99_MS),
        Figure(f"{what}: server", found["cpu"], "cores", 1.0),
        Figure(f"{what}: load generator", found["load_cpu"], "cores"),
    )


def rooms() -> tuple[Figure, ...]:
    """Ten thousand sockets in a thousand rooms."""
    found = stream(10_000, 1_000, 2_000, SECONDS, batch=False)
    what = "10,000 sockets in 1,000 rooms, 2,000 publishes/s"
    return (
        Figure(f"{what}: p50", found["p50"], "ms"),
        Figure(f"{what}: p99", found["p99"], "ms", P99_MS),
        Figure(f"{what}: server", found["cpu"], "cores"),
        Figure(f"{what}: load generator", found["load_cpu"], "cores"),
    )


def stalled() -> tuple[Figure, ...]:
    """One reader among a thousand stops."""
    alone = stream(1_000, 1, 100, SECONDS, batch=False)
    beside = stream(1_000, 1, 100, SECONDS, batch=False, stalled=1)
    what = "one stalled reader among 1,000, 100 messages/s: p99 of the others"
    return (
        Figure(what, beside["p99"], "ms", None, "below", alone["p99"], "all reading"),
        Figure("the same as a ratio", beside["p99"] / alone["p99"], "times all reading", 1.1),
    )


PARTS: dict[str, Callable[[], tuple[Figure, ...]]] = {
    "wide": wide,
    "storm": storm,
    "batch": batch,
    "rooms": rooms,
    "stalled": stalled,
}


def run() -> Result:
    """Measure everything three times."""
    figures = repeat(lambda: [figure for part in PARTS.values() for figure in part()])
    parameters = {
        "message_bytes": PAYLOAD_BYTES,
        "stream_s": SECONDS,
        "runs": RUNS,
        "followed_in_one_room": f"{FOLLOWED} sockets, every message; the others emptied every {SWEEP_S:g} s, counted "
        "in bytes",
    }
    return Result("hub", figures, parameters)


def main() -> None:
    """Run what was asked for, once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    only = parser.parse_args().only
    print(f"load before the run {os.getloadavg()[0]:.1f}; {FOLLOWED} sockets of one room followed, the others counted")
    for name in [only] if only else PARTS:
        for one in PARTS[name]():
            baseline = "" if one.baseline is None else f"{one.baseline_is}: {one.baseline:,.2f}"
            judged = "" if one.bar is None else f"bar {one.bar:,g}{' MISSED' if one.missed_by else ''}"
            print(f"  {one.what:<66} {one.value:>12,.2f} {one.unit:<8} {judged} {baseline}", flush=True)


if __name__ == "__main__":
    main()
