"""What counting users, logins and rooms once over all nodes costs one node: bytes, CPU and memory.

``python -m bench.headcount``: ten nodes of 10,000 users, 10,000 logins and 20,000 rooms each, half of the users on the
next node as well; 100 users more every 2 s. In one process, over the in-process bus.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import tracemalloc
from collections.abc import Sequence

from tidewire.bus.memory import MemoryBus
from tidewire.core.clock import SystemClock
from tidewire.hub.headcount import CHANNEL, EVERY_S, Headcount


def things(node: int, users: int) -> dict[str, set[str | int]]:
    """Return what a node has."""
    return {
        "users": set(range(node * users // 2, node * users // 2 + users)),
        "logins": {f"{node:08d}{number:024d}" for number in range(users)},
        "rooms": {f"app:room-{node}-{number:016d}" for number in range(2 * users)},
    }


async def main(nodes: int, users: int) -> None:
    """Measure, and print."""
    clock, names = SystemClock(), {f"n{number}" for number in range(nodes)}
    bus = MemoryBus(clock)
    await bus.start()
    told: list[bytes] = []
    bus.subscribe(CHANNEL, lambda _, payloads: told.extend(payloads))
    has = [things(number, users) for number in range(nodes)]
    everyone = [
        Headcount(
            bus,
            clock,
            f"n{number}",
            lambda number=number: {kind: set(each) for kind, each in has[number].items()},
            lambda: (names, []),
        )
        for number in range(nodes)
    ]
    for other in everyone[1:]:
        other.tick()
    mine = everyone[0]
    tracemalloc.start()
    receive(mine, told)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    told.clear()
    whole = measured(mine)
    whole_bytes, rounds = sum(map(len, told)), []
    for number in range(20):
        has[0]["users"] |= set(range(-100 * number - 100, -100 * number))
        told.clear()
        rounds.append(measured(mine))
    print(f"the whole, told once: {whole_bytes / 1e3:.0f} kB, {whole * 1e3:.0f} ms of CPU")
    print(
        f"each {EVERY_S:g} s with 100 new users: {sum(map(len, told))} bytes, {statistics.median(rounds) * 1e3:.1f} ms"
    )
    print(f"what {nodes - 1} others have: {memory / 1e6:.0f} MB; totals {mine.totals()}")
    await bus.stop()


def receive(node: Headcount, told: Sequence[bytes]) -> None:
    """Hand a node what others have told."""
    node._receive(CHANNEL, told)


def measured(node: Headcount) -> float:
    """Return the CPU seconds of one round."""
    began = time.process_time()
    node.tick()
    return time.process_time() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--users", type=int, default=10_000)
    asyncio.run(main(**vars(parser.parse_args())))
