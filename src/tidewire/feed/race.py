"""Waiting for the first of several things, with a deadline on a clock that tests may drive by hand.

It must not know what is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from tidewire.core.clock import Clock

_T = TypeVar("_T")


async def wait_first(clock: Clock, timeout_s: float, *futures: asyncio.Future[Any]) -> None:
    """Return when one of ``futures`` is done or ``timeout_s`` seconds have passed. The futures go on."""
    timer = asyncio.ensure_future(clock.sleep(timeout_s))
    try:
        await asyncio.wait({timer, *futures}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        await asyncio.gather(timer, return_exceptions=True)


async def finish_within(clock: Clock, timeout_s: float, work: Coroutine[Any, Any, _T]) -> _T:
    """Return the result of ``work``, run as a task of its own.

    Raises:
        TimeoutError: It took longer than ``timeout_s`` seconds; it was cancelled and has ended.
    """
    task = asyncio.ensure_future(work)
    try:
        await wait_first(clock, timeout_s, task)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
