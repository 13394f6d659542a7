"""Runs one simulator until a signal says stop; the body of the command ``tidewire simulate``.

It must not know the command line.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from tidewire.feed.simulator.config import SimulatorConfig
from tidewire.feed.simulator.listing import REAL_LABEL, REAL_TAPES
from tidewire.feed.simulator.server import PATH, Simulator

Announcement = dict[str, str | int | None]


async def run_until_stopped(config: SimulatorConfig, announce: Callable[[Announcement], None]) -> None:
    """Start, announce, and return after SIGTERM or SIGINT once everything is closed.

    Args:
        config: What to simulate.
        announce: Called once, when clients may connect, with url, control_url (None without a control), tickers,
            real_tickers, rate, seed and label.

    Raises:
        SettingsError: It cannot start.
    """
    simulator = Simulator(config)
    await simulator.start()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    signalled = loop.create_task(stopped.wait(), name="simulator-signal")
    failed = loop.create_task(simulator.wait_failed(), name="simulator-watch")
    try:
        announce(describe_start(simulator))
        await asyncio.wait([signalled, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            # From here on a second signal ends the process at once.
            loop.remove_signal_handler(signum)
        signalled.cancel()
        failed.cancel()
        await asyncio.gather(signalled, failed, return_exceptions=True)
        await simulator.stop()


def describe_start(simulator: Simulator) -> Announcement:
    """Return what to tell the person who started it."""
    config = simulator.config
    control = simulator.control_port
    return {
        "url": f"ws://{config.host}:{simulator.port}{PATH}",
        "control_url": None if control is None else f"http://127.0.0.1:{control}",
        "tickers": config.tickers,
        "real_tickers": min(config.tickers, len(REAL_TAPES)),
        "rate": config.rate,
        "seed": config.seed,
        "label": f"{REAL_LABEL}; further tickers are synthetic",
    }
