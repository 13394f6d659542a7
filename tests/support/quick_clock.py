"""A clock that runs faster than the real one, for tests against real servers whose waits are seconds."""

from __future__ import annotations

import asyncio
import time


class QuickClock:
    """Implements core.clock.Clock at ``speed`` times real time."""

    def __init__(self, speed: float = 20.0) -> None:
        self._speed = speed

    def time(self) -> float:
        """Return wall time, unchanged."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds of this clock."""
        return time.monotonic() * self._speed

    async def sleep(self, delay_s: float) -> None:
        """Sleep for ``delay_s`` of this clock."""
        await asyncio.sleep(delay_s / self._speed)
