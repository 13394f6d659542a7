"""Runs a coroutine on uvloop, and tells it when somebody wants the program to end. It must not know what runs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import structlog
import uvloop

T = TypeVar("T")
log = structlog.get_logger(__name__)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a fresh uvloop event loop and return its result."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


class Service(Protocol):
    """Something that is started and stopped."""

    async def start(self) -> None:
        """Start; on failure leave nothing running."""
        ...

    async def stop(self) -> None:
        """Stop. Idempotent."""
        ...


async def run_until_signal(service: Service, ready: Callable[[], None] = lambda: None) -> None:
    """Start ``service``, call ``ready``, and stop it at the first SIGTERM or SIGINT, also while it is starting."""
    signalled = asyncio.create_task(wait_for_signal(), name="signal")
    starting = asyncio.create_task(service.start(), name="start")
    try:
        await asyncio.wait({signalled, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            ready()
            await signalled
    finally:
        for task in (starting, signalled):
            task.cancel()
        await asyncio.gather(starting, signalled, return_exceptions=True)
        await service.stop()


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
