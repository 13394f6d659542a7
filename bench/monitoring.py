"""What it costs the clients that ten operators watch everything: latency and CPU with nobody watching and with ten.

The whole server as people run it (SQLite, in-process bus). Two hundred clients of one room at a steady rate; a message
carries when it was sent, and every delivery is timed. Phases with nobody and with ten alternate, so that a change of
the machine's mood falls on both. Bar: p99 rises by less than 5 ms. Run: ``python -m bench.monitoring``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.support.crowd import Crowd, Guest
from tests.support.house import ROOM, House, housing
from tests.support.population import populate

from bench.measure import line, percentile

CLIENTS, OPERATORS, USERS = 200, 10, 40
BAR_MS = 5.0
SETTLE_S = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Timed(Guest):
    """A guest that notes how long each room message was under way, milliseconds."""

    __slots__ = ("times",)

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self.times: list[float] = []

    def _note(self, message: dict[str, Any]) -> None:
        if message["type"] == "room_message":
            self.times.append((time.monotonic() - message["data"]["at"]) * 1000)
        super()._note(message)


def phase(house: House, crowd: Crowd, guests: list[Timed], rate: int, seconds: float) -> dict[str, float]:
    """Publish at a steady rate; return p50 and p99 in milliseconds and the server's share of a core."""
    author = guests[0]
    for guest in guests:
        guest.times.clear()
    before = {guest: len(guest.offsets.get(ROOM, ())) for guest in guests}
    cpu, began = cpu_s(house.service.process.pid), time.monotonic()
    sent = 0
    while (now := time.monotonic() - began) < seconds:
        while sent < now * rate:
            author.say("publish", room_id=ROOM, data={"at": time.monotonic(), "pad": "x" * 150})
            sent += 1
        crowd.breathe(0.001)
    used, took = cpu_s(house.service.process.pid) - cpu, time.monotonic() - began
    crowd.run(lambda: all(len(guest.offsets.get(ROOM, ())) - before[guest] == sent for guest in guests), "all of it")
    times = [each for guest in guests for each in guest.times]
    return {"p50": percentile(times, 50), "p99": percentile(times, 99), "cores": used / took, "n": len(times)}


def cpu_s(pid: int) -> float:
    """Return what a process has used, seconds of one core."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def watched(house: House, crowd: Crowd, cookies: list[str]) -> subprocess.Popen[str]:
    """Let the operators open their pages."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "bench.operators"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert watching.stdin is not None
    watching.stdin.write(json.dumps({"port": house.port, "cookies": cookies}) + "\n")
    watching.stdin.flush()
    assert watching.stdout is not None
    ready = threading.Thread(target=watching.stdout.readline)
    ready.start()
    while ready.is_alive():
        crowd.breathe(0.05)
    return watching


def main() -> int:
    """Run it and print what was seen; exit code 1 if a bar was missed or an operator was refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50, help="messages per second to the room")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each phase")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load before the run {os.getloadavg()[0]:.1f}")
    print(f"{CLIENTS} clients of one room, {chosen.rate} messages/s of 200 bytes, {OPERATORS} operators", flush=True)
    found: dict[str, list[dict[str, float]]] = {"nobody": [], "ten": []}
    told: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        people = populate(Path(folder), USERS, role="super")
        with housing(people, Path(folder)) as house, Crowd(Timed) as crowd:
            guests: list[Any] = house.guests(crowd, CLIENTS)
            for _ in range(chosen.rounds):
                found["nobody"].append(phase(house, crowd, guests, chosen.rate, chosen.seconds))
                with watched(house, crowd, people.cookies[:OPERATORS]) as watching:
                    crowd_for(crowd, SETTLE_S)
                    found["ten"].append(phase(house, crowd, guests, chosen.rate, chosen.seconds))
                    out, _ = watching.communicate("\n")
                    told.append(json.loads(out))
                crowd_for(crowd, SETTLE_S)
    return report(found, told)


def crowd_for(crowd: Crowd, seconds: float) -> None:
    """Read for that long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        crowd.breathe(0.05)


def report(found: dict[str, list[dict[str, float]]], told: list[dict[str, Any]]) -> int:
    """Print it; return the exit code."""
    middle = {
        name: {what: statistics.median(each[what] for each in phases) for what in phases[0]}
        for name, phases in found.items()
    }
    for name, values in middle.items():
        for what, unit in (("p50", "ms"), ("p99", "ms"), ("cores", "cores")):
            runs = ", ".join(f"{each[what]:.2f}" for each in found[name])
            line(f"{name} watching: {what} (median of {runs})", values[what], unit)
    rises = [ten["p99"] - nobody["p99"] for nobody, ten in zip(found["nobody"], found["ten"], strict=True)]
    rise = statistics.median(rises)
    line("rise of p99, the median round", rise, "ms", f"bar {BAR_MS:g}{'' if rise < BAR_MS else ' MISSED'}")
    line("CPU of all monitoring", middle["ten"]["cores"] - middle["nobody"]["cores"], "cores")
    line("deliveries timed", sum(each["n"] for phases in found.values() for each in phases), "")
    refused = [text for each in told for text in each["refused"]]
    print(f"  operators were told: {[(each['answers'], each['messages']) for each in told]}")
    print(f"  refused: {refused[:3]} of {len(refused)}")
    silent = [
        kind for kind in ("system_metrics", "performance_metrics") for each in told if kind not in each["messages"]
    ]
    return int(rise >= BAR_MS or bool(refused) or bool(silent))


if __name__ == "__main__":
    sys.exit(main())
