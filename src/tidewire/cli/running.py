"""Runs a coroutine on uvloop, and tells it when somebody wants the program to end. It must not know what runs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
import uvloop

from tidewire.core.memory import limit_arenas

T = TypeVar("T")
log = structlog.get_logger(__name__)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a fresh uvloop event loop and return its result."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def run_service(main: Coroutine[Any, Any, None], *, at_once: Callable[[], None] = lambda: None) -> None:
    """Run ``main`` until SIGTERM or SIGINT, then cancel it: its own ``finally`` closes what it opened.

    The signals are heard from before the first step of ``main``, so that one that comes while things are still being
    started leaves nothing behind either. A second one ends the process at once, after ``at_once``, and says so.
    """
    limit_arenas()
    run(_until_signalled(main, at_once))


async def wait_for_end() -> None:
    """Wait until the service is cancelled."""
    await asyncio.get_running_loop().create_future()


async def _until_signalled(main: Coroutine[Any, Any, None], at_once: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    service = loop.create_task(main, name="service")
    first: list[str] = []

    def receive(signum: signal.Signals) -> None:
        if first:
            log.warning("second signal: ending at once", signal=signum.name, will_not="flush or close anything more")
            at_once()
            os._exit(128 + signum)
        first.append(signum.name)
        service.cancel()

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, receive, signum)
    try:
        await service
    except asyncio.CancelledError:
        if not first:
            raise
