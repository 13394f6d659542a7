"""A background loop that cannot die silently. It must not know what it does.

A round that fails is logged and counted, and the next one comes; ``report`` says how long ago the last one ended, so
that whoever shows status can say that a loop stands still.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

import structlog

from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.loop_report import LoopReport


class WatchedLoop:
    """Calls ``step`` every ``interval_s`` until stopped.

    Args:
        name: For logs and status.
        step: One round; may be a coroutine function.
        aligned: Keep to multiples of the interval since the start instead of pausing that long between rounds.
    """

    def __init__(
        self,
        name: str,
        interval_s: float,
        step: Callable[[], Awaitable[None] | None],
        clock: Clock,
        *,
        aligned: bool = False,
    ) -> None:
        self.name = name
        self._interval_s = interval_s
        self._step = step
        self._clock = clock
        self._aligned = aligned
        self._task: asyncio.Task[None] | None = None
        self._started = 0.0
        self._last_run: float | None = None
        self._runs = 0
        self._failures = 0
        self._last_error: str | None = None
        self._log = structlog.get_logger("tidewire.loop")

    def start(self) -> None:
        """Start the loop. Raises RuntimeError if it runs already."""
        if self._task is not None:
            raise RuntimeError(f"the {self.name} loop runs already")
        self._started = self._clock.monotonic()
        self._task = background(self._run(), f"loop:{self.name}")

    async def stop(self) -> None:
        """Cancel the loop and wait for its end. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def report(self) -> LoopReport:
        """Return how the loop is."""
        since = self._last_run
        if since is None and self._task is not None:
            since = self._started
        return LoopReport(
            running=self._task is not None and not self._task.done(),
            interval=self._interval_s,
            last_run_age=None if since is None else self._clock.monotonic() - since,
            runs=self._runs,
            failures=self._failures,
            last_error=self._last_error,
        )

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._delay_s())
            try:
                result = self._step()
                if inspect.isawaitable(result):
                    await result
            except Exception as exc:  # noqa: BLE001 - task root: logged, counted, next round comes
                self._failures += 1
                self._last_error = f"{type(exc).__name__}: {exc}"[:200]
                self._log.exception("monitoring_loop_failed", loop=self.name, failures=self._failures)
            self._runs += 1
            self._last_run = self._clock.monotonic()

    def _delay_s(self) -> float:
        if not self._aligned:
            return self._interval_s
        elapsed = self._clock.monotonic() - self._started
        # Rounded, because a timer may fire a little early; the same round must not come twice.
        return (round(elapsed / self._interval_s) + 1) * self._interval_s - elapsed
