"""Prometheus histograms of how long things take, made at scrape time. It must not keep counters of its own.

Source: Prometheus manual, "Histograms and summaries".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tidewire.core.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Times:
    """One family of histograms.

    Attributes:
        name: Without ``tidewire_``; ends in ``_seconds``.
        read: Values of the labels -> what was counted for them.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    read: Callable[[], Mapping[tuple[str, ...], Histogram]]


class TimesCollector(Collector):
    """See the module's text."""

    def __init__(self, families: Iterable[Times]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """Yield every family; called by the registry at each scrape."""
        for times in self._families:
            family = HistogramMetricFamily(f"tidewire_{times.name}", times.text, labels=times.labels)
            for values, histogram in times.read().items():
                family.add_metric(values, list(histogram.buckets()), histogram.sum)
            yield family
