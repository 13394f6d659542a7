"""Reads what ``/metrics`` serves, every few seconds and when asked, and remembers a quarter of an hour.

One reading serves everybody who asks at nearly the same time. A reading that fails leaves the last one standing, with
its age and what was wrong: an old figure is never shown as new. It must not know what the figures mean, or who asks.
Source: core/sample.py; dashboard.md 1.2, M2.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import structlog
from prometheus_client import CollectorRegistry

from tidewire.core.clock import Clock
from tidewire.core.sample import NodeSamples, Sample
from tidewire.core.watched_loop import WatchedLoop
from tidewire.vitals.catalogue import Metric, metrics_of
from tidewire.vitals.reading import EVERY_S, NodeHistory, NodeIncrease, NodeVitals
from tidewire.vitals.ring import Ring

# What the charts show at most; 180 readings.
KEPT_S = 900.0
# Who asks within a quarter of a second gets the same reading: a crowd costs four a second, of 2 ms each.
FRESH_S = 0.25

_log = structlog.get_logger(__name__)


class Sampler:
    """See the module's text.

    Args:
        registry: What ``/metrics`` serves; None until it has been built.
        node, instance: Who measures.
    """

    def __init__(
        self,
        registry: Callable[[], CollectorRegistry | None],
        clock: Clock,
        *,
        node: str,
        instance: str,
        every_s: float = EVERY_S,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._node, self._instance = node, instance
        self._ring = Ring(round(KEPT_S / every_s) + 1)
        self._catalogue: dict[str, Metric] = {}
        self._last = NodeSamples(node, instance, clock.time(), [])
        self._last_at = float("-inf")
        self._began_at = clock.monotonic()
        self._trouble = "nothing has been read yet"
        self._loop = WatchedLoop("vitals", every_s, self.record, clock, aligned=True)
        self.readings = 0
        self.failures = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Read now, then every few seconds."""
        self.record()
        self._loop.start()

    async def stop(self) -> None:
        """Stop. Idempotent."""
        await self._loop.stop()

    def record(self) -> None:
        """Take a reading and remember it."""
        if self._read():
            # Not by the wall clock, which may be set back.
            self._ring.record(self._last_at, self._last.samples)

    def latest(self, max_age_s: float = FRESH_S) -> NodeVitals:
        """Return a reading of the last quarter of a second, or the last one there was with what went wrong."""
        if self._clock.monotonic() - self._last_at > max_age_s:
            self._read()
        return NodeVitals(
            self._node, self._instance, self._last.at, self._last.samples, age_s=self.age_s(), trouble=self._trouble
        )

    def age_s(self) -> float:
        """Return how old the last good reading is; before the first one, how long there has been none."""
        return self._clock.monotonic() - max(self._last_at, self._began_at)

    def catalogue(self) -> dict[str, Metric]:
        """Return what every name stands for that the registry has had."""
        if not self._catalogue:
            self.latest()
        return dict(self._catalogue)

    def history(self, names: Collection[str], seconds: float) -> NodeHistory:
        """Return what is remembered of the named figures."""
        now = self._clock.monotonic()
        times, lines = self._ring.lines(names, now - seconds)
        wall = self._clock.time() - now
        return NodeHistory(self._node, self._instance, [wall + at for at in times], lines)

    def remembered(self, names: Collection[str], seconds: float) -> list[Sample]:
        """Return by how much the named counters had risen at the last reading; nothing is read for it."""
        at = self._last_at
        return self._ring.increases(names, at - seconds, at, self._last.samples, far=self._far(names))[0]

    def increase(self, names: Collection[str], seconds: float) -> NodeIncrease:
        """Return by how much the named counters have risen in the last ``seconds``."""
        now = self.latest()
        at = self._last_at
        rises, covered_s = self._ring.increases(names, at - seconds, at, now.samples, far=self._far(names))
        return NodeIncrease(self._node, self._instance, covered_s, rises)

    def statistics(self) -> dict[str, float]:
        """Return what is known of the sampler itself, for metrics: who watches must be watched."""
        return {
            "age_seconds": self.age_s(),
            "reading_seconds": self.seconds,
            "series": self._ring.series,
            "kept_readings": len(self._ring),
            "late": float(self.is_late()),
        }

    def counters(self) -> dict[str, float]:
        """Return what only rises."""
        return {"readings": self.readings, "failures": self.failures, "series_left_out": self._ring.left_out}

    def is_late(self) -> bool:
        """Whether the loop that reads has missed so many rounds that something must be wrong."""
        return self._loop.report().is_late

    def _far(self, names: Collection[str]) -> set[str]:
        return {name for name in names if name in self._catalogue and self._catalogue[name].far}

    def _read(self) -> bool:
        """Read the registry; False if that failed, which is said with everything that is shown from then on."""
        registry = self._registry()
        if registry is None:
            return False
        began = time.perf_counter()
        try:
            samples = self._collect(registry)
        except Exception as exc:  # noqa: BLE001 - collectors of any part; whoever looks is told
            self.failures += 1
            trouble, self._trouble = self._trouble, f"{type(exc).__name__}: {exc}"[:200]
            if trouble != self._trouble:
                _log.exception("vitals_unread", will_not="Old figures will not be shown as new.")
            return False
        self.seconds = time.perf_counter() - began
        self.readings += 1
        self._trouble = ""
        self._last = NodeSamples(self._node, self._instance, self._clock.time(), samples)
        self._last_at = self._clock.monotonic()
        return True

    def _collect(self, registry: CollectorRegistry) -> list[Sample]:
        samples = list[Sample]()
        for family in registry.collect():
            first = metrics_of(family.name, family.type, family.documentation)
            if first[0].name not in self._catalogue:
                self._catalogue |= {each.name: each for each in first}
            for name, labels, value, *_ in family.samples:
                if name in self._catalogue:
                    samples.append(Sample(name, float(value), tuple(sorted(labels.items())) if labels else ()))
        return samples
