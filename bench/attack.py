"""What fifty attackers cost everybody else: memory per attacker and the latency of those who behave.

Server, well-behaved clients and attackers are processes of their own on loopback and share the cores, so the ratio errs
on the high side, although the attackers have the lowest priority: their work, and the kernel's for them, is in it.
The bars are R5 of the reliability plan: 5 MB per attacker, p99 of the others at most 10 % higher.
Run: ``python -m bench.attack``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time

from bench.hub import ROOT, Child, pair
from bench.measure import line

KINDS = ("pings", "stalled", "fragments", "messages")
ATTACKERS = 50
HONEST = 200
RATE = 50
SETTLE_S = 2.0


def watch(server: Child, load: Child, seconds: int) -> dict[str, float]:
    """Publish to the well-behaved for a while; latencies and the server's memory at the end."""
    count = RATE * seconds
    load.tell("collect", expect=HONEST * count, timeout_s=5.0)
    sent = server.ask("publish", room="app:x", count=count, rate=RATE, settle=False)
    seen = load.hear()
    assert seen["seen"] == HONEST * count, f"the well-behaved missed messages: {seen}"
    return {"p50": seen["p50_ms"], "p99": seen["p99_ms"], "rss": sent["rss_bytes"], "cpu": sent["cpu_s"] / seconds}


def attacked(kind: str, seconds: int) -> None:
    """One server: alone, under attack, and after it."""
    with pair("hub") as (server, load, port):
        load.ask("connect", port=port, count=HONEST, batch=False, raw=False)
        load.ask("subscribe", room="app:x", rooms=1)
        watch(server, load, 2)
        alone = watch(server, load, seconds)
        # Nice: the attackers' own work is done on other machines in life, here on the same two cores.
        command = ["nice", "-n", "19", sys.executable, "-m", "bench.attack_client", kind, str(port), str(ATTACKERS)]
        paths = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        attackers = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=paths
        )
        time.sleep(SETTLE_S)
        under = watch(server, load, seconds)
        said, _ = attackers.communicate(timeout=30)
        time.sleep(SETTLE_S)
        left = server.ask("collect")["connections"] - HONEST
    print(f"\n{ATTACKERS} attackers: {kind}; {HONEST} others, {RATE} messages/s")
    line("memory per attacker, most", (under["rss"] - alone["rss"]) / ATTACKERS / 1e6, "MB", "bar 5")
    line("p50 of the others, alone", alone["p50"], "ms")
    line("p50 of the others, under attack", under["p50"], "ms")
    line("p99 of the others, alone", alone["p99"], "ms")
    line("p99 of the others, under attack", under["p99"], "ms")
    line("ratio of p99, under attack / alone", under["p99"] / alone["p99"], "x", "bar 1.1")
    line("share of a core, alone", alone["cpu"], "cores")
    line("share of a core, under attack", under["cpu"], "cores")
    line("times an attacker was cut", json.loads(said)["cuts"], "")
    line("attackers left two seconds later", left, "", "bar 0")


def main() -> None:
    """Run every kind of attack, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--seconds", type=int, default=10)
    chosen = parser.parse_args()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{machine}, load before the run {os.getloadavg()[0]:.1f}")
    for kind in KINDS if chosen.only is None else (chosen.only,):
        attacked(kind, chosen.seconds)


if __name__ == "__main__":
    main()
