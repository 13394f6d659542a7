"""Times answers and calculations of this process, in memory, and writes them to the database every few seconds.

Counting never waits: what cannot be written stays counted here and is written later. A process that is killed loses
what it has not written, a few seconds' worth. It must not know HTTP, or how quotes are calculated.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from tidewire.analytics.rules import HOUR_S, HOURS_MAX
from tidewire.core.clock import Clock
from tidewire.core.errors import StoreError
from tidewire.core.throttle import Throttle
from tidewire.store.timing_records import STEP_S, Timing, TimingKey
from tidewire.store.timings import Timings

FLUSH_EVERY_S = 5.0
PURGE_EVERY_S = 3_600.0
# With a database that is away for long: a day of one node, in a megabyte. Beyond it the oldest step is given up.
KEPT_MAX = 3_000

_log = structlog.get_logger(__name__)


class Recorder:
    """See the module's text.

    Args:
        written: Called when something has been written.
    """

    def __init__(self, timings: Timings, clock: Clock, *, node: str, written: Callable[[], None]) -> None:
        self._timings = timings
        self._clock = clock
        self._node = node[:64]
        self._written = written
        self._held: dict[TimingKey, Timing] = {}
        self._unwritten = Throttle(every_s=300.0)
        self.counts = dict.fromkeys(("recorded", "writes", "writes_failed", "given_up", "purges_failed"), 0)

    def statistics(self) -> dict[str, int]:
        """Return counters since start, and how many steps wait to be written."""
        return {**self.counts, "held": len(self._held)}

    def add(self, kind: str, outcome: str, took_s: float) -> None:
        """Count one, at once."""
        step = int(self._clock.time() // STEP_S) * STEP_S
        key = TimingKey(kind, step, self._node, outcome[:16])
        timing = self._held.get(key)
        if timing is None:
            timing = self._held[key] = Timing()
        timing.add(max(0.0, took_s * 1000.0))
        self.counts["recorded"] += 1

    async def flush(self) -> None:
        """Write what has been counted since the last time."""
        held, self._held = self._held, {}
        if not held:
            return
        try:
            await self._timings.add(held)
        except StoreError as error:
            self.counts["writes_failed"] += 1
            if error.code != "outcome_unknown":
                self._take_back(held)
            if told := self._unwritten.admit(self._clock.monotonic()):
                _log.warning("timings_unwritten", failed=told, **error.describe())
            return
        self.counts["writes"] += 1
        self._written()

    async def purge(self) -> None:
        """Forget what no dashboard can ask for."""
        try:
            await self._timings.purge(self._clock.time() - (HOURS_MAX + 1) * HOUR_S)
        except StoreError as error:
            self.counts["purges_failed"] += 1
            _log.warning("timings_unpurged", **error.describe())

    def _take_back(self, held: dict[TimingKey, Timing]) -> None:
        for key, timing in self._held.items():
            held.setdefault(key, Timing()).merge(timing)
        for key in sorted(held, key=lambda one: one.step_at)[: max(0, len(held) - KEPT_MAX)]:
            self.counts["given_up"] += held.pop(key).count
        self._held = held
