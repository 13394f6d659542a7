"""What can be watched: the figures of every node by group, and how fast it is by metric.

It must not know who watches. Source: contract.md section 5 (``system_metrics``, ``performance_metrics``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from tidewire.vitals.figures import RATE_OVER_S, age_of, figures_of, rises
from tidewire.vitals.gatherer import Gathered, Gatherer
from tidewire.vitals.groups import groups_of
from tidewire.vitals.performance import WINDOW_S, choices, counters_of, performance_of
from tidewire.vitals.reading import NodeIncrease, NodeVitals
from tidewire.vitals.rules import MONITORING, PERFORMANCE
from tidewire.vitals.watch import Shown
from tidewire.vitals.wire import Everybody

_encode = msgspec.json.Encoder().encode


class SystemShow:
    """The figures of every node, by group."""

    family, kind, member = MONITORING, "system_metrics", "groups"

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    async def gather(self, items: frozenset[str]) -> Shown:
        """Return the groups named by ``items``."""
        known = self._gatherer.catalogue()
        counted = [name for name in known if not items.isdisjoint(groups_of(name)) and rises(name, known)]
        now, risen = await _both(self._gatherer, counted, RATE_OVER_S)
        figures = figures_of(now.nodes, risen.nodes, known, lambda name: not items.isdisjoint(groups_of(name)))
        pieces = {group: _encode([each for each in figures if group in groups_of(each.name)]) for group in items}
        return Shown(everybody(now, RATE_OVER_S), pieces)


class PerformanceShow:
    """How fast it is, by metric."""

    family, kind, member = PERFORMANCE, "performance_metrics", "metrics"

    def __init__(self, gatherer: Gatherer) -> None:
        self._gatherer = gatherer

    async def gather(self, items: frozenset[str]) -> Shown:
        """Return the metrics named by ``items``."""
        known = choices(self._gatherer.catalogue())
        now, risen = await _both(self._gatherer, counters_of(items, known), WINDOW_S)
        pieces = {
            name: _encode(performance_of(name, known[name], now.nodes, risen.nodes)) for name in items if name in known
        }
        return Shown(everybody(now, WINDOW_S), pieces)


def everybody(now: Gathered[NodeVitals], over_s: float) -> Everybody:
    """Return whose figures these are."""
    ages = [age_of(node) for node in now.nodes]
    return Everybody(
        interval_s=0.0,
        over_s=over_s,
        complete=now.complete and not any(age.stale for age in ages),
        nodes=ages,
        silent=now.silent,
        cut_off=now.cut_off,
    )


async def _both(
    gatherer: Gatherer, counted: Sequence[str], over_s: float
) -> tuple[Gathered[NodeVitals], Gathered[NodeIncrease]]:
    """Ask for what is now and for what has risen, at once: a silent node costs its deadline only once."""
    return await asyncio.gather(gatherer.latest(), gatherer.increase(counted, over_s))
