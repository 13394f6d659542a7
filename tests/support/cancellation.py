"""Cancels a coroutine at its n-th suspension, so that a test can try every point at which a caller may give up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any


class _CutShort:
    """Awaits ``coroutine`` and cancels the task that runs it when it suspends for the ``at``-th time."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int) -> None:
        self._coroutine = coroutine
        self._at = at
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        step: Callable[[], Any] = partial(self._coroutine.send, None)
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            self.suspensions += 1
            if self.suspensions == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                yield waits_for
                step = partial(self._coroutine.send, None)
            except BaseException as error:  # noqa: BLE001 - handed on to whom it is meant for
                step = partial(self._coroutine.throw, error)


async def cancelled_at(coroutine: Coroutine[Any, Any, Any], at: int, ceiling_s: float = 20.0) -> bool:
    """Run ``coroutine`` in a task of its own, cancel it at its ``at``-th suspension (from 1), and wait for its end.

    Returns:
        Whether there were so many suspensions; false means that it ran to its end undisturbed.
    """
    cut = _CutShort(coroutine, at)

    async def run() -> None:
        await cut

    task = asyncio.create_task(run())
    async with asyncio.timeout(ceiling_s):
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return cut.suspensions >= at
