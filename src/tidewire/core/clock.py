"""Time as an object, so that tests drive it by hand. It must not know who waits.

Wall time (``time``) is for stamps that people and other machines read; monotonic time is for every timer.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What a shell needs of time."""

    def time(self) -> float:
        """Return wall time, Unix seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Return monotonic seconds; only differences mean something."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return after ``delay_s`` seconds of this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return wall time, Unix seconds, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(delay_s)
