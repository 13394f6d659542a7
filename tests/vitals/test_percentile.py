"""Percentiles against Prometheus's own rules and examples, and against the values themselves."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from tidewire.core.histogram import SECONDS, Histogram
from tidewire.vitals.percentile import Quantile, quantile, summed


def test_it_interpolates_as_prometheus_does() -> None:
    """Linear within the bucket where the rank falls; in the last one, its lower bound and that it is greater."""
    buckets = [(0.1, 10.0), (0.2, 30.0), (0.4, 40.0), (inf, 40.0)]
    assert quantile(0.5, buckets) == Quantile(0.1 + 0.1 * (20 - 10) / 20, beyond=False)
    assert quantile(0.25, buckets) == Quantile(0.1, beyond=False)
    assert quantile(0.1, buckets) == Quantile(0.1 * 4 / 10, beyond=False)
    assert quantile(1.0, buckets) == Quantile(0.4, beyond=False)
    assert quantile(0.99, [(0.1, 1.0), (inf, 10.0)]) == Quantile(0.1, beyond=True)


def test_nothing_has_no_percentile() -> None:
    """No values, no buckets: there is no figure, and none is made up."""
    assert quantile(0.5, []) is None
    assert quantile(0.5, [(0.1, 0.0), (inf, 0.0)]) is None


@given(st.lists(st.floats(0.0, 9.99), min_size=1, max_size=300), st.sampled_from((0.5, 0.95, 0.99)))
def test_it_lies_in_the_bucket_of_the_true_percentile(values: list[float], share: float) -> None:
    """The value that the share of all values does not exceed lies in the same bucket as what is told."""
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    found = quantile(share, summed(histogram.buckets()))
    assert found is not None
    rank = next(n for n in range(1, len(values) + 1) if n >= share * len(values))
    true = sorted(values)[rank - 1]
    upper = next(bound for bound in SECONDS if true <= bound)
    lower = max((bound for bound in (0.0, *SECONDS) if bound < upper), default=0.0)
    assert lower <= found.value <= upper
    assert not found.beyond


@given(st.lists(st.floats(0.0, 100.0), max_size=200))
def test_a_histogram_counts_what_prometheus_would(values: list[float]) -> None:
    """Cumulative buckets with their bounds as Prometheus writes them; sum and count are those of the values."""
    histogram = Histogram((0.01, 1.0, 2.5))
    for value in values:
        histogram.observe(value)
    assert list(histogram.buckets()) == [
        (text, sum(value <= bound for value in values))
        for text, bound in (("0.01", 0.01), ("1.0", 1.0), ("2.5", 2.5), ("+Inf", inf))
    ]
    assert histogram.count == len(values)


def test_histograms_of_several_nodes_are_one() -> None:
    """Buckets are added up by bound, in order, whichever node they come from."""
    parts = [("+Inf", 3.0), ("0.1", 1.0), ("0.1", 2.0), ("+Inf", 5.0)]
    assert summed(parts) == [(0.1, 3.0), (inf, 8.0)]
