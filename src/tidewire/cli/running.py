"""Runs a coroutine on uvloop, and tells it when somebody wants the program to end. It must not know what runs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
import uvloop

T = TypeVar("T")
log = structlog.get_logger(__name__)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a fresh uvloop event loop and return its result."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def wait_for_signal() -> str:
    """Return the name of the first SIGTERM or SIGINT; a second one ends the process at once, and says so."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[str] = loop.create_future()

    def receive(signum: signal.Signals) -> None:
        if first.done():
            log.warning("second signal: ending at once", signal=signum.name, will_not="flush or close anything more")
            os._exit(128 + signum)
        first.set_result(signum.name)

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, receive, signum)
    return await first
