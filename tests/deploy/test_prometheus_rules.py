"""The alert rules for Prometheus are those of the program, and every metric in them is served."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import prometheus_rules
from tests.support.platform import served
from tidewire.alerts.defaults import DEFAULTS


def test_the_file_is_up_to_date() -> None:
    """It is made from the shipped rules."""
    assert prometheus_rules.TARGET.read_text() == prometheus_rules.document(), (
        "run `python -m tests.support.prometheus_rules`"
    )


@pytest.mark.parametrize(
    ("key", "expression"),
    [
        ("bus_down", "tidewire_bus_up < 1"),
        ("feed_line_down", "(max by (line) (tidewire_feed_line_down) > 0) unless on() (max(tidewire_feed_paused) > 0)"),
        ("slow_consumers", 'sum (rate(tidewire_hub_closed_total{code="4003"}[120s])) > 0.1'),
        (
            "fan_out_ratio",
            "rate(tidewire_hub_delivered_total[60s]) / (rate(tidewire_hub_published_total[60s]) >= 1) > 5000",
        ),
        ("feed_silent", "min ((time() - tidewire_feed_report_timestamp_seconds)) > 15"),
        ("collector_stale", 'up{job="tidewire"} == 0'),
    ],
)
def test_a_rule_asks_the_same_question(key: str, expression: str) -> None:
    """Figure, labels, window, groups, threshold and what makes it rest."""
    [rule] = [rule for rule in DEFAULTS if rule.key == key]
    assert prometheus_rules.expression(rule) == expression


async def test_every_metric_in_it_is_in_metrics(tmp_path: Path) -> None:
    """A name that nobody serves would be a rule that never fires."""
    asked = set(re.findall(r"\btidewire_\w+", prometheus_rules.document()))
    assert len(asked) >= 10
    async with served(tmp_path) as site:
        assert asked <= site.web.vitals.gatherer.catalogue().keys()
