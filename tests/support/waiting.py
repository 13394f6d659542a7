"""Waits: for what an event tells, for what only turns of the loop bring, for what must be asked for again and again.

Each has a ceiling and raises TimeoutError there. It must not know what is waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from tidewire.store.bulkhead import Bulkhead

T = TypeVar("T")

# For a test that is about what a database does, not about how long it may take: a machine full of tests can be slow.
PATIENT = Bulkhead("patient", connections=8, deadline_s=30.0)


class Closable(Protocol):
    """What ends with ``close``."""

    def close(self) -> None:
        """End it."""


async def until(condition: Callable[[], object], ceiling_s: float = 45.0) -> None:
    """Let the loop turn until ``condition`` holds; it comes about in other people's code, which has no event."""
    async with asyncio.timeout(ceiling_s):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.001)


async def until_told(
    listen: Callable[[Callable[[], None]], Closable], holds: Callable[[], object], ceiling_s: float = 45.0
) -> None:
    """Return once ``holds``; looked at whenever what ``listen`` is given is called."""
    told = asyncio.Event()
    watch = listen(told.set)
    try:
        async with asyncio.timeout(ceiling_s):
            while not holds():
                told.clear()
                await told.wait()
    finally:
        watch.close()


async def eventually(
    ask: Callable[[], Awaitable[T]],
    found: Callable[[T], object] = bool,
    *,
    ceiling_s: float = 45.0,
    in_vain: tuple[type[Exception], ...] = (),
) -> T:
    """Ask another process again and again until the answer is the wanted one; return it.

    Args:
        in_vain: Errors that mean: ask again.
    """
    async with asyncio.timeout(ceiling_s):
        while True:
            try:
                answer = await ask()
            except in_vain:
                pass
            else:
                if found(answer):
                    return answer
            await asyncio.sleep(0.02)
