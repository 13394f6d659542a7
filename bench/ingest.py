"""Ingest: frames of 50 trades from three real sockets -> codec -> assignment -> one JSON message per tick -> a bus.

The load comes from another process, over picows, as fast as the sockets take it; the feed under test runs on one core
of this one. The official client's parsing alone (json.loads and its models, no socket) is measured over the same
frames in the same run. Bars: at least 200,000 ticks/s, and at least the official client's parse-only rate.
Both are judged by CPU seconds of the measured thread, which is what "on one core" means on a machine that is shared;
the rate by the wall clock is printed beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from massive.websocket.models import Market, parse
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

from tidewire.core.feed_status import FeedStatus
from tidewire.core.market import Tick
from tidewire.feed.multi_connection import MultiConnectionManager
from tidewire.feed.source import LineConfig

LINES = 3
TICKERS_PER_LINE = 150
TRADES_PER_FRAME = 50
FRAMES = 300
TICKS = 3_000_000
WARM_UP = 300_000
BAR_TICKS_PER_S = 200_000
# Sequence numbers are 1RRRRIIIIIII: the round in front, so that one replacement renews a whole frame.
FIRST_ROUND = 10_000


def build_frames(line: int) -> list[bytes]:
    """Return the frames of one line, whose sequence numbers rise; every field the venue sends is there."""
    now = int(time.time() * 1000)
    frames = []
    number = 0
    for _ in range(FRAMES):
        events = []
        for _ in range(TRADES_PER_FRAME):
            number += 1
            events.append(
                {
                    "ev": "T",
                    "sym": f"L{line}T{number % TICKERS_PER_LINE}",
                    "x": 4,
                    "i": str(number),
                    "z": 3,
                    "p": 100 + number % 997 / 100,
                    "s": 100 + number % 7,
                    "ds": f"{100 + number % 7}.0",
                    "c": [14, 41],
                    "t": now,
                    "q": int(f"{FIRST_ROUND}{number:07d}"),
                }
            )
        frames.append(json.dumps(events, separators=(",", ":")).encode())
    return frames


class Generator(WSListener):  # type: ignore[misc]
    """One connection of the load generator: the handshake, then frames as long as the socket takes them."""

    def __init__(self, frames: Sequence[Sequence[bytes]]) -> None:
        self._all = frames
        self._paused = False
        self._next = 0
        self._round = FIRST_ROUND
        self._frames: Sequence[bytes] = ()
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet."""
        self._transport = transport
        transport.send(WSMsgType.TEXT, b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]')

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer authentication and subscription; begin after the latter."""
        if frame.msg_type != WSMsgType.TEXT:
            return
        request = json.loads(frame.get_payload_as_bytes())
        if request["action"] == "auth":
            transport.send(WSMsgType.TEXT, b'[{"ev":"status","status":"auth_success","message":"authenticated"}]')
            return
        topics = request["params"].split(",")
        answers = [{"ev": "status", "status": "success", "message": f"subscribed to: {t}"} for t in topics]
        transport.send(WSMsgType.TEXT, json.dumps(answers).encode())
        if not self._frames:
            self._frames = self._all[int(topics[0][3])]
            asyncio.get_running_loop().call_soon(self._pump)

    def pause_writing(self) -> None:
        """The socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._paused = False
        self._pump()

    def _pump(self) -> None:
        transport = self._transport
        assert transport is not None
        old = b'"q":%d' % FIRST_ROUND
        new = b'"q":%d' % self._round
        for _ in range(20):
            if self._paused or transport.is_disconnected:
                return
            transport.send(WSMsgType.TEXT, self._frames[self._next].replace(old, new))
            self._next += 1
            if self._next == len(self._frames):
                self._next = 0
                self._round += 1
                new = b'"q":%d' % self._round
        asyncio.get_running_loop().call_soon(self._pump)


async def generate() -> None:
    """Serve until standard input closes."""
    frames = [build_frames(line) for line in range(LINES)]
    gc.freeze()
    server = await ws_create_server(lambda _: Generator(frames), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


class Counter:
    """Stands where the bus would: encodes each tick, counts the messages, and says when enough have come."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self.warm = asyncio.Event()
        self.enough = asyncio.Event()
        self._encode = msgspec.json.Encoder().encode

    def receive(self, ticks: list[Tick]) -> None:
        """Encode, publish."""
        encode = self._encode
        self.publish([encode(tick) for tick in ticks])

    def publish(self, payloads: list[bytes]) -> None:
        """Count."""
        self.messages += len(payloads)
        self.bytes += len(payloads[0]) * len(payloads)
        if self.messages >= WARM_UP:
            self.warm.set()
            if self.messages >= WARM_UP + TICKS:
                self.enough.set()


async def ingest(port: int) -> dict[str, Any]:
    """Run the feed against the generator; return ticks/s by wall clock and by CPU."""
    counter = Counter()
    last: list[FeedStatus] = []
    lines = [
        LineConfig(f"connection_{n + 1}", f"line {n}", tickers=tuple(f"L{n}T{i}" for i in range(TICKERS_PER_LINE)))
        for n in range(LINES)
    ]
    feed = MultiConnectionManager(
        lines,
        f"ws://127.0.0.1:{port}/stocks",
        "bench-key",
        receive_ticks=counter.receive,
        status_changed=last.append,
        channels=("T", "A"),
    )
    assert await feed.connect()
    await counter.warm.wait()
    gc.collect()
    messages, wall, cpu = counter.messages, time.perf_counter(), time.process_time()
    await counter.enough.wait()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    messages = counter.messages - messages
    status = feed.health()
    await feed.disconnect()
    slots = status.connections.values()
    assert sum(slot.duplicates + slot.out_of_order + slot.parse_errors + slot.dropped for slot in slots) == 0
    assert status.unassigned_ticks == 0
    return {"ticks": messages, "wall_s": wall, "cpu_s": cpu, "per_wall_s": messages / wall, "per_cpu_s": messages / cpu}


def official() -> float:
    """Return the events per CPU second of the official client's parsing alone, over the same kind of frames."""
    frames = build_frames(0)
    logger = logging.getLogger("bench")
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        for frame in frames:
            parse(json.loads(frame), logger, Market.Stocks)
        best = max(best, len(frames) * TRADES_PER_FRAME / (time.process_time() - start))
    return best


def cpu_model() -> str:
    """Return the processor's name as the kernel gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def run() -> dict[str, Any]:
    """Measure; return numbers, machine, parameters and ratios."""
    generator = subprocess.Popen(
        [sys.executable, "-m", "bench.ingest", "--generate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert generator.stdout is not None
        port = int(generator.stdout.readline())
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(generator.pid, {cores[1]})
        os.sched_setaffinity(0, {cores[0]})
        try:
            ours = uvloop.run(ingest(port))
            theirs = official()
        finally:
            os.sched_setaffinity(0, cores)
    finally:
        assert generator.stdin is not None
        generator.stdin.close()
        generator.wait(10)
    return {
        "name": "ingest",
        "unit": "ticks per CPU second of one core",
        "ticks_per_s": round(ours["per_cpu_s"]),
        "ticks_per_wall_s": round(ours["per_wall_s"]),
        "official_parse_only_per_s": round(theirs),
        "ratio_to_official": round(ours["per_cpu_s"] / theirs, 2),
        "bar_ticks_per_s": BAR_TICKS_PER_S,
        "passed": ours["per_cpu_s"] >= BAR_TICKS_PER_S and ours["per_cpu_s"] >= theirs,
        "parameters": {
            "lines": LINES,
            "tickers": LINES * TICKERS_PER_LINE,
            "trades_per_frame": TRADES_PER_FRAME,
            "ticks": ours["ticks"],
            "wall_s": round(ours["wall_s"], 2),
            "cpu_s": round(ours["cpu_s"], 2),
        },
        "machine": {"cpu": cpu_model(), "cores": os.cpu_count(), "python": platform.python_version()},
    }


def main() -> int:
    """Print the result; 0 if both bars are met."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--generate", action="store_true", help="be the load generator (used by the bench itself)")
    if arguments.parse_args().generate:
        uvloop.run(generate())
        return 0
    result = run()
    print(json.dumps(result, indent=2))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
