"""Waits for something that happens inside other people's code and that no event announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], ceiling_s: float = 10.0) -> None:
    """Let the loop turn until ``condition`` holds. Raises TimeoutError after ``ceiling_s``."""
    async with asyncio.timeout(ceiling_s):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.001)
