"""What the ring can tell and no counter can: how far a message goes, lately; as a metric like any other.

It must not know what a figure is for.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidewire.vitals.sampler import Sampler

OVER_S = 30.0
PUBLISHED, DELIVERED = "tidewire_hub_published_total", "tidewire_hub_delivered_total"


class VitalsCollector(Collector):
    """See the module's text."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def collect(self) -> Iterable[Metric]:
        """Yield every metric; called by the registry at each scrape, the sampler's own included."""
        ratio = GaugeMetricFamily(
            "tidewire_hub_fanout_ratio", "Members that a published message reached, average of the last half minute"
        )
        rises = {rise.name: rise.value for rise in self._sampler.remembered([PUBLISHED, DELIVERED], OVER_S)}
        # While nothing is published there is no ratio, and none is made up.
        if rises.get(PUBLISHED, 0.0) > 0:
            ratio.add_metric([], rises[DELIVERED] / rises[PUBLISHED])
        yield ratio
