"""The vitals' part of the web side: who reads the figures, who gathers them, and who shows them.

It must not hold logic of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from tidewire.core.clock import Clock
from tidewire.core.histogram import Histogram
from tidewire.core.loop_watch import LoopWatch
from tidewire.hub.hub import Hub
from tidewire.hub.nodes import Nodes
from tidewire.monitoring.time_metrics import Times, TimesCollector
from tidewire.vitals.checks import Check, Checks
from tidewire.vitals.collector import VitalsCollector
from tidewire.vitals.conversation import Conversation
from tidewire.vitals.gatherer import Gatherer
from tidewire.vitals.routes import vitals_router
from tidewire.vitals.sampler import Sampler


class VitalsSide:
    """Everything of vitals that lives and dies with a hub. Make it before the nodes are started.

    Args:
        registry: What ``/metrics`` serves; None until it has been built.

    Attributes:
        gatherer: The figures of all nodes; rules and pages ask it.
    """

    def __init__(self, hub: Hub, nodes: Nodes, registry: Callable[[], CollectorRegistry | None], clock: Clock) -> None:
        self._nodes, self._clock = nodes, clock
        self.sampler = Sampler(registry, clock, node=nodes.name, instance=nodes.node)
        self.gatherer = Gatherer(nodes, self.sampler)
        self.checks = Checks({}, clock, node=nodes.name, instance=nodes.node)
        self.conversation = Conversation(hub, clock, self.gatherer)

    def watch_over(self, checks: Mapping[str, Check]) -> None:
        """Carry out these checks whenever somebody asks whether all is well; call it before ``routes``."""
        self.checks = Checks(checks, self._clock, node=self._nodes.name, instance=self._nodes.node)

    def routes(self) -> list[APIRouter]:
        """Return the HTTP side."""
        return [vitals_router(self.checks, self.gatherer, self._clock.time)]

    def register(
        self,
        registry: CollectorRegistry,
        loop: LoopWatch,
        routes: Mapping[tuple[str, ...], Histogram],
        calculations: Mapping[str, Histogram],
    ) -> None:
        """Add to the metrics how long things take, and what the ring can tell.

        Args:
            routes: Method and route -> its response times.
            calculations: How calculations ended -> how long they took.
        """
        lag, answer = "By how much the event loop was late", "From a request's arrival to the start of its answer"
        registry.register(
            TimesCollector(
                [
                    Times("event_loop_lag_seconds", lag, (), lambda: {(): loop.lag}),
                    Times("http_response_seconds", answer, ("method", "route"), lambda: routes),
                    Times(
                        "quotes_calculation_seconds",
                        "How long calculations took, by how they ended",
                        ("outcome",),
                        lambda: {(outcome,): times for outcome, times in calculations.items()},
                    ),
                ]
            )
        )
        registry.register(VitalsCollector(self.sampler))

    def gauges(self) -> dict[str, float]:
        """Return what goes up and down, for metrics."""
        return {**self.sampler.statistics(), **self.conversation.statistics()}

    def start(self) -> None:
        """Begin to read and remember."""
        self.sampler.start()
        self.conversation.start()

    async def stop(self) -> None:
        """End all of it. Idempotent."""
        await self.conversation.stop()
        await self.sampler.stop()
        await self.checks.stop()
        await self.gatherer.stop()
