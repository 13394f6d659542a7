"""The dashboards' part of the web side: where they are kept, and what the nodes remember of the figures on them.

It must not hold logic of its own.
"""

from __future__ import annotations

from collections.abc import Collection

from fastapi import APIRouter

from tidewire.core.clock import Clock
from tidewire.monitoring.dashboard_routes import DashboardsApi
from tidewire.monitoring.figure_routes import Memory, Metric, figure_router
from tidewire.monitoring.figure_series import Remembered
from tidewire.store.dashboards import Dashboards
from tidewire.store.database import Database
from tidewire.vitals.catalogue import Total
from tidewire.vitals.gatherer import Gatherer


class DashboardsSide:
    """See the module's text.

    Args:
        requests: The database for whoever waits.
        gatherer: The figures of all nodes.
    """

    def __init__(self, requests: Database, gatherer: Gatherer, clock: Clock) -> None:
        self._gatherer = gatherer
        self._clock = clock
        self._api = DashboardsApi(Dashboards(requests), lambda: gatherer.catalogue().keys(), clock.time)

    def routes(self) -> list[APIRouter]:
        """Return the HTTP routes."""
        return [self._api.router(), figure_router(self._recall, self._metrics, self._clock.time)]

    async def _recall(self, names: Collection[str], seconds: float) -> Memory:
        gathered = await self._gatherer.history(names, seconds)
        nodes = [
            (
                node.node,
                Remembered(node.instance, node.times, [(each.name, each.labels, each.values) for each in node.lines]),
            )
            for node in gathered.nodes
        ]
        return Memory(nodes, gathered.silent, gathered.cut_off)

    def _metrics(self) -> list[Metric]:
        return [
            Metric(name=each.name, kind=each.kind, unit=each.unit, help=each.help, total=_total(each.total))
            for each in self._gatherer.catalogue().values()
        ]


def _total(total: Total) -> str:
    # A dashboard's sum counts what is on several nodes once.
    return "sum" if total == "once" else total
