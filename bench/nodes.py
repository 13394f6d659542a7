"""Two nodes on one Redis against one process without: deliveries, latency, messages through Redis, a killed node.

Nodes, load generators and Valkey are processes of their own on loopback and share the machine's cores, so latencies
include everybody's work, and what a node can do is stated per second of its own CPU. Every baseline is of the same run.
Run: ``python -m bench nodes``; one part, once: ``python -m bench.nodes --only latency``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import structlog
import uvloop
from tests.support.valkey import ValkeyProcess

from bench.hub import EVERYBODY, FOLLOWED, MISSED, Child, storm
from bench.hub_server import PAYLOAD_BYTES, body
from bench.measure import RUNS, Figure, Result, cpu_seconds, machine, repeat
from tidewire.bus.address import parse_address
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_wire import RedisWire
from tidewire.bus.room_log import Bounds, channel_of
from tidewire.bus.wire import BrokerLimits, encode_command
from tidewire.core.clock import SystemClock

SECONDS = 8
# Half of what one core delivers, so that two nodes, two generators and Valkey fit on two cores.
SOCKETS, RATE = 1_000, 300
QUIET_SOCKETS, QUIET_RATE = 20, 100
APPENDS, APPENDED_AT_ONCE, ROOMS = 30_000, 64, 100
ALONE = "one process without Redis"


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[list[Child], list[Child], list[int]]]:
    """Run that many nodes on one Valkey, and a load generator for each. 0: one process without Redis."""
    with ExitStack() as stack:
        if nodes:
            url = stack.enter_context(ValkeyProcess()).url
            servers = [Child("bench.hub_server", "node", url, f"node-{n}") for n in range(nodes)]
        else:
            servers = [Child("bench.hub_server", "hub")]
        loads = [Child("bench.hub_load") for _ in servers]
        try:
            yield servers, loads, [server.hear()["port"] for server in servers]
        finally:
            for child in (*loads, *servers):
                child.end()


def stream(nodes: int, sockets: int, rate: int, *, batch: bool) -> dict[str, float]:
    """One room, published to at the first node; CPU of all nodes, latency at the first and at the last one."""
    with cluster(nodes) as (servers, loads, ports):
        share = sockets // len(loads)
        for load, port in zip(loads, ports, strict=True):
            load.ask("connect", port=port, count=share, batch=batch, raw=False)
            load.ask("subscribe", room="app:x", rooms=1)
        count = rate * SECONDS
        before = sum(server.ask("collect")["process_cpu_s"] for server in servers)
        for load in loads:
            load.tell("follow", messages=count, followed=FOLLOWED, timeout_s=3.0)
        servers[0].ask("publish", room="app:x", count=count, rate=rate)
        seen = [load.hear() for load in loads]
        used = sum(server.ask("collect")["process_cpu_s"] for server in servers) - before
        assert all((one["seen"], one["faults"]) == (share * count, 0) for one in seen), seen
        return {
            "per_core": share * len(loads) * count / used,
            "cores": used / SECONDS,
            "p50": seen[0]["p50_ms"],
            "p99": seen[0]["p99_ms"],
            "far_p50": seen[-1]["p50_ms"],
            "far_p99": seen[-1]["p99_ms"],
        }


def workers() -> tuple[Figure, ...]:
    """Deliveries per second of the nodes' CPU: two nodes against one, and against a process that shares nothing."""
    alone, one, two = (stream(nodes, SOCKETS, RATE, batch=True) for nodes in (0, 1, 2))
    what = f"{SOCKETS:,} sockets in a room, {RATE} messages/s, batch"
    unit = "1/core s"
    return (
        Figure(f"{what}: deliveries, one node", one["per_core"], unit, None, "at least", alone["per_core"], ALONE),
        Figure(f"{what}: deliveries, two nodes", two["per_core"], unit, None, "at least", alone["per_core"], ALONE),
        Figure(f"{what}: two nodes' CPU", two["cores"], "cores", None, "below", alone["cores"], ALONE),
        Figure(f"{what}: p99, two nodes, the other one", two["far_p99"], "ms", None, "below", alone["p99"], ALONE),
    )


def latency() -> tuple[Figure, ...]:
    """Publish to receive where little else happens: on the node that publishes, on the other one, without Redis."""
    alone = stream(0, QUIET_SOCKETS, QUIET_RATE, batch=False)
    two = stream(2, QUIET_SOCKETS, QUIET_RATE, batch=False)
    figures = []
    for percent in ("p50", "p99"):
        what = f"{QUIET_RATE} messages/s, publish to receive, {percent}"
        figures += [
            Figure(f"{what}: the same node", two[percent], "ms", None, "below", alone[percent], ALONE),
            Figure(
                f"{what}: the other node", two[f"far_{percent}"], "ms", None, "below", two[percent], "the same node"
            ),
        ]
    return tuple(figures)


async def append_all(url: str, pid: int) -> dict[str, float]:
    """Append to the room log from one process, and hear every message on its room's channel."""
    clock, chance = SystemClock(), random.Random(1)
    bus, log = RedisBus(url, clock, chance), RedisRoomLog(url, clock, chance)
    await bus.start()
    await log.start()
    heard, all_heard = 0, asyncio.Event()

    def receive(_: str, payloads: object) -> None:
        nonlocal heard
        heard += len(payloads)  # type: ignore[arg-type]
        if heard >= APPENDS:
            all_heard.set()

    rooms = [f"app:bench-{n}" for n in range(ROOMS)]
    bounds = Bounds(messages=1_000, age_s=300.0, bytes=1 << 20)
    numbers = iter(range(APPENDS))
    payload = body()

    async def work() -> None:
        for number in numbers:
            await log.append(rooms[number % ROOMS], payload, bounds=bounds)

    try:
        await asyncio.gather(*(bus.subscribe(channel_of(room), receive).ready() for room in rooms))
        began, ours, broker = time.monotonic(), time.process_time(), cpu_seconds(pid)
        async with asyncio.TaskGroup() as group:
            for _ in range(APPENDED_AT_ONCE):
                group.create_task(work())
        async with asyncio.timeout(60):
            await all_heard.wait()
        wall, ours, broker = time.monotonic() - began, time.process_time() - ours, cpu_seconds(pid) - broker
    finally:
        await log.stop()
        await bus.stop()
    return {"per_s": APPENDS / wall, "per_broker_s": APPENDS / broker, "us": ours / APPENDS * 1e6}


async def append_raw(url: str, pid: int) -> dict[str, float]:
    """What the server does with XADD and PUBLISH alone, in pipelines of as many as the log has under way."""
    limits = BrokerLimits()
    writer, reader = (RedisWire(parse_address(url), limits) for _ in range(2))
    await writer.connect()
    await reader.connect()
    channel = b"bench-raw"
    await reader.write(encode_command(b"SUBSCRIBE", channel))
    await reader.read()
    payload = body()
    pair = encode_command(b"XADD", b"bench-stream", b"MAXLEN", b"1000", b"*", b"p", payload)
    pair += encode_command(b"PUBLISH", channel, payload)

    async def hear() -> None:
        for _ in range(APPENDS):
            await reader.read()

    try:
        began, broker = time.monotonic(), cpu_seconds(pid)
        hearing = asyncio.create_task(hear())
        for done in range(0, APPENDS, APPENDED_AT_ONCE):
            count = min(APPENDED_AT_ONCE, APPENDS - done)
            await writer.write(pair * count)
            for _ in range(2 * count):
                await writer.read()
        await hearing
        wall, broker = time.monotonic() - began, cpu_seconds(pid) - broker
    finally:
        await writer.discard()
        await reader.discard()
    return {"per_s": APPENDS / wall, "per_broker_s": APPENDS / broker}


def broker() -> tuple[Figure, ...]:
    """Messages through one Redis: appended to the room log, announced, heard; against its bare commands."""
    with ValkeyProcess() as server:
        assert server.pid is not None
        raw = uvloop.run(append_raw(server.url, server.pid))
        log = uvloop.run(append_all(server.url, server.pid))
    what = f"room log: {PAYLOAD_BYTES} bytes appended, announced and heard, {APPENDED_AT_ONCE} under way"
    plain = "XADD and PUBLISH"
    return (
        Figure(what, log["per_s"], "1/s", None, "at least", raw["per_s"], plain),
        Figure("the same, per second of Redis' CPU", log["per_broker_s"], "1/core s", None, "at least",
               raw["per_broker_s"], plain),
        Figure("the same, CPU of the process that appends and hears", log["us"], "us"),
    )  # fmt: skip


def killed() -> tuple[Figure, ...]:
    """10,000 clients of one of two nodes; it is killed, messages are published, they resume on the other one."""
    connected, resumed_alone = (figure.value for figure in storm()[1:])
    with cluster(2) as (servers, (load, _), ports):
        load.ask("connect", port=ports[1], count=EVERYBODY, batch=True, raw=False)
        load.ask("subscribe", room="app:x", rooms=1)
        servers[0].ask("publish", room="app:x", count=1, rate=100)
        epoch, offset = servers[1].ask("collect")["places"]["app:x0"]
        servers[1].process.kill()
        servers[1].process.wait()
        servers[0].ask("publish", room="app:x", count=MISSED, rate=1_000)
        load.ask("cut")
        back = load.ask("connect", port=ports[0], count=EVERYBODY, batch=True, raw=False)
        since = {"epoch": epoch, "offset": offset}
        resumed = load.ask("subscribe", room="app:x", rooms=1, since=since, expect=MISSED)
    what = "10,000 clients of a killed node"
    same = "cut and back at one process without Redis"
    return (
        Figure(f"{what}: resumed on the other, with all they missed, once", resumed["recovered"], "clients", EVERYBODY,
               "at least"),
        Figure(f"{what}: time to be connected again", back["wall_s"], "s", None, "below", connected, same),
        Figure(f"{what}: time to have resumed after that", resumed["wall_s"], "s", None, "below", resumed_alone, same),
    )  # fmt: skip


PARTS: dict[str, Callable[[], tuple[Figure, ...]]] = {
    "workers": workers,
    "latency": latency,
    "broker": broker,
    "killed": killed,
}


def run() -> Result:
    """Measure everything three times."""
    # The buses say in the log when they connect; that is not what is measured here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    figures = repeat(lambda: [figure for part in PARTS.values() for figure in part()])
    parameters = {"message_bytes": PAYLOAD_BYTES, "stream_s": SECONDS, "runs": RUNS, "missed": MISSED}
    return Result("nodes", figures, parameters)


def main() -> None:
    """Run what was asked for, once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    only = parser.parse_args().only
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['kernel']}, load before the run {os.getloadavg()[0]:.1f}")
    for name in [only] if only else PARTS:
        for one in PARTS[name]():
            ratio = "" if one.ratio is None else f"{one.ratio:.2f} x {one.baseline_is}: {one.baseline:,.2f}"
            judged = "" if one.bar is None else f"bar {one.bar:,g}{' MISSED' if one.missed_by else ''}"
            print(f"  {one.what:<72} {one.value:>12,.2f} {one.unit:<9} {judged} {ratio}", flush=True)


if __name__ == "__main__":
    main()
