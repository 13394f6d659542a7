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
import sys
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import uvloop
from massive.websocket.models import Market, parse
from picows import WSMsgType

from bench.measure import RUNS, Figure, Result, repeat
from bench.stand import program
from bench.venue import LINES, Peer, serve, symbols, trade
from tidewire.core.feed_status import FeedStatus
from tidewire.core.market import Tick
from tidewire.feed.multi_connection import MultiConnectionManager
from tidewire.feed.source import LineConfig

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
    names = symbols(line, TICKERS_PER_LINE)
    frames = []
    for first in range(1, FRAMES * TRADES_PER_FRAME, TRADES_PER_FRAME):
        numbers = range(first, first + TRADES_PER_FRAME)
        events = [trade(names[n % TICKERS_PER_LINE], n, now, int(f"{FIRST_ROUND}{n:07d}")) for n in numbers]
        frames.append(f"[{','.join(events)}]".encode())
    return frames


class Flood(Peer):
    """One connection of the load generator: frames as long as the socket takes them."""

    def __init__(self, frames: Sequence[Sequence[bytes]]) -> None:
        super().__init__()
        self._all = frames
        self._paused = False
        self._next = 0
        self._round = FIRST_ROUND
        self._frames: Sequence[bytes] = ()

    def begin(self) -> None:
        """Start to send."""
        self._frames = self._all[int(self.symbols[0][1])]
        self._pump()

    def pause_writing(self) -> None:
        """The socket is full."""
        self._paused = True

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._paused = False
        self._pump()

    def _pump(self) -> None:
        transport = self.transport
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


def generate() -> None:
    """Be the load generator until standard input closes."""
    frames = [build_frames(line) for line in range(LINES)]
    gc.freeze()
    uvloop.run(serve(lambda: Flood(frames)))


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
        LineConfig(f"connection_{n + 1}", f"line {n}", tickers=tuple(symbols(n, TICKERS_PER_LINE)))
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


def measure() -> tuple[Figure, ...]:
    """Run the feed against the load generator, each on a core of its own if there are two."""
    with program("-m", "bench.ingest", "--generate") as generator:
        port = int(generator.read_line())
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(generator.pid, {cores[1]})
        os.sched_setaffinity(0, {cores[0]})
        try:
            ours = uvloop.run(ingest(port))
            theirs = official()
        finally:
            os.sched_setaffinity(0, cores)
    parse_only = "official client, parsing alone"
    per_cpu, per_wall = ours["per_cpu_s"], ours["per_wall_s"]
    return (
        Figure("ingest, per CPU second", per_cpu, "ticks/s", BAR_TICKS_PER_S, "at least", theirs, parse_only),
        Figure("ingest / official parse-only", per_cpu / theirs, "x", 1.0, "at least"),
        Figure("ingest, by the wall clock", per_wall, "ticks/s", baseline=theirs, baseline_is=parse_only),
    )


def run() -> Result:
    """Measure three times."""
    return Result(
        "ingest",
        repeat(measure),
        {
            "lines": LINES,
            "tickers": LINES * TICKERS_PER_LINE,
            "trades_per_frame": TRADES_PER_FRAME,
            "ticks_per_run": TICKS,
            "runs": RUNS,
        },
    )


def main() -> int:
    """Be the load generator; the benchmark itself is ``python -m bench ingest``."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--generate", action="store_true", required=True, help="be the load generator")
    arguments.parse_args()
    generate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
