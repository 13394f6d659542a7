"""``tidewire serve`` with a subscriber on its bus that notes when each tick is seen; used by bench/admin_cost.py.

It runs the same Platform from the same environment. The probe subscribes last, as a plain program would, and only keeps
references; decoding waits until it is asked. On standard input: {"op":"start"}, {"op":"stop"}.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import time
from collections.abc import Sequence

import msgspec

from tidewire.app.platform import Platform
from tidewire.cli.running import run
from tidewire.core.market import TICK_CHANNEL, Tick
from tidewire.core.telemetry import configure_logging
from tidewire.settings import load_settings


class Probe:
    """The subscriber."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, Sequence[bytes]]] = []
        self._started: tuple[float, float] | None = None

    def receive(self, _: str, payloads: Sequence[bytes]) -> None:
        """Note."""
        if self._started is not None:
            self._seen.append((time.time(), payloads))

    def start(self) -> dict[str, object]:
        """Forget, and note from now on."""
        self._seen = []
        gc.collect()
        self._started = (time.monotonic(), time.process_time())
        return {"started": True}

    def stop(self) -> dict[str, object]:
        """Return latencies in milliseconds, one per tick, and what the process used of its core, 0..1."""
        assert self._started is not None
        wall, cpu = time.monotonic() - self._started[0], time.process_time() - self._started[1]
        self._started = None
        decode = msgspec.json.Decoder(Tick).decode
        pairs = [(seen, decode(payload)) for seen, payloads in self._seen for payload in payloads]
        self._seen = []
        return {
            "sent_to_seen": [(seen - tick.timestamp) * 1000 for seen, tick in pairs],
            "received_to_published": [(tick.published - tick.received) * 1000 for _, tick in pairs],
            "received_to_seen": [(seen - tick.received) * 1000 for seen, tick in pairs],
            "cpu": cpu / wall,
            "ticks_per_s": len(pairs) / wall,
        }


async def serve() -> None:
    """Run until standard input closes."""
    settings = load_settings(env_file=None)
    configure_logging(level=settings.log_level, style=settings.log_format, secrets=settings.secrets)
    platform, probe = Platform(settings), Probe()
    operations = {"start": probe.start, "stop": probe.stop}
    await platform.start()
    subscription = platform.bus.subscribe(TICK_CHANNEL, probe.receive)
    try:
        while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
            print(json.dumps(operations[json.loads(line)["op"]]()), flush=True)
    finally:
        subscription.close()
        await platform.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        run(serve())
