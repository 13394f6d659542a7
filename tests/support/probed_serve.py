"""``tidewire serve``, with two signals more: SIGUSR1 says what the process holds, SIGUSR2 blocks its event loop.

Everything between the signals is the product's own start, run and end. For tests and benches.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

from tidewire.app.platform import Platform
from tidewire.cli.running import run_service, wait_for_end
from tidewire.core.telemetry import configure_logging
from tidewire.settings import load_settings
from tidewire.web.footprint import settle

# Longer than any room remembers (300 s) and any member's absence is held back.
LATER_S = 1_000.0


def holdings(platform: Platform) -> dict[str, object]:
    """Return how much of everything that clients bring there is now."""
    assert platform.web is not None
    # The collector looks so seldom that what needs it would pile up for minutes.
    garbage = gc.collect()
    hub = platform.web.hub_side.hub
    board = hub._board
    board.rooms.sweep([room.room_id for room in board.rooms.each()], time.monotonic() + LATER_S)
    numbers = hub.statistics()
    gc.collect()
    return {
        "tasks": sorted(task.get_name() for task in asyncio.all_tasks() if not task.get_name().startswith("Task-")),
        "unnamed_tasks": sum(task.get_name().startswith("Task-") for task in asyncio.all_tasks()),
        "connections": numbers.connections,
        "users": numbers.users,
        "rooms": numbers.rooms,
        "requests": numbers.tasks,
        "outbox_bytes": numbers.outbox_bytes,
        "unknown": len(board.registry._unknown_by_ip),
        "deadlines": len(board._timetable),
        "paces": len(board.rooms.outflow._quiet_until),
        "failures": numbers.failures,
        "files": sorted(_kind(entry) for entry in Path("/proc/self/fd").iterdir()),
        "memory": {"garbage": garbage, "blocks": sys.getallocatedblocks(), "malloc_bytes": malloc_bytes()},
    }


class _MallInfo(ctypes.Structure):
    """What glibc's malloc says of its main arena. Source: mallinfo2(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in [
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        ]
    ]


_C = ctypes.CDLL(None)
if hasattr(_C, "mallinfo2"):
    _C.mallinfo2.restype = _MallInfo


def malloc_bytes() -> int:
    """Return how many bytes are taken from malloc and not given back (0 where the C library does not say)."""
    if not hasattr(_C, "mallinfo2"):
        return 0
    found = _C.mallinfo2()
    return int(found.uordblks + found.hblkhd)


def _kind(entry: Path) -> str:
    try:
        return str(entry.readlink()).partition(":")[0]
    except FileNotFoundError:
        return "the listing"


async def _serve(platform: Platform, block_s: float) -> None:
    loop = asyncio.get_running_loop()
    await platform.start()
    loop.add_signal_handler(signal.SIGUSR1, lambda: print(json.dumps(holdings(platform)), flush=True))
    # Blocking the loop is what this handler is for.
    loop.add_signal_handler(signal.SIGUSR2, lambda: time.sleep(block_s))
    print(json.dumps({"ready": os.getpid()}), flush=True)
    try:
        await wait_for_end()
    finally:
        await platform.stop()


def main() -> None:
    """Serve with settings from the environment: ``SECONDS [--feed]``, and SIGUSR2 blocks for so many seconds."""
    settings = load_settings()
    configure_logging(level=settings.log_level, style=settings.log_format, secrets=settings.secrets)
    run_service(_serve(Platform(settings, with_feed="--feed" in sys.argv, settle=settle), float(sys.argv[1])))


if __name__ == "__main__":
    main()
