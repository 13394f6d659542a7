"""A clock that only moves when a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class HandClock:
    """Implements core.clock.Clock; ``advance`` wakes sleepers in order of their deadline.

    Args:
        start: Wall time at the beginning, Unix seconds.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._wall = start
        self._mono = 1_000.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        """Return wall time."""
        return self._wall

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return self._mono

    async def sleep(self, delay_s: float) -> None:
        """Wait until ``advance`` has passed the deadline."""
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._mono + delay_s, next(self._order), waiter))
        await waiter

    def jump(self, seconds: float) -> None:
        """Let time pass while nobody gets to run, as in a loop that stands still; the next ``advance`` wakes them."""
        self._wall += seconds
        self._mono += seconds

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own deadline and letting it run."""
        target = self._mono + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, waiter = heapq.heappop(self._sleepers)
            self._wall += max(0.0, deadline - self._mono)
            self._mono = max(self._mono, deadline)
            if not waiter.done():
                waiter.set_result(None)
            await _settle()
        self._wall += target - self._mono
        self._mono = target
        await _settle()


async def _settle() -> None:
    """Let every ready callback run."""
    # 20 turns: deep enough for any chain of awaits in one task step here, and still microseconds.
    for _ in range(20):
        await asyncio.sleep(0)
