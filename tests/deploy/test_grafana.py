"""The dashboard for Grafana shows what /admin shows, and every metric in it exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support import grafana
from tests.support.platform import served
from tidewire.monitoring.dashboard_model import Figure


def test_the_file_is_up_to_date() -> None:
    """It is that of the built-in dashboard."""
    assert json.loads(grafana.TARGET.read_text()) == grafana.dashboard(), "run `python -m tests.support.grafana`"


def test_a_figure_becomes_the_same_question() -> None:
    """Labels are quoted, totals and rates named as Prometheus names them."""
    figure = Figure("tidewire_http_responses_total", {"status": '5"0'}, "mean", "per_second")
    assert grafana.promql(figure) == 'avg(rate(tidewire_http_responses_total{status="5\\"0"}[1m]))'


async def test_every_metric_in_it_is_in_metrics(tmp_path: Path) -> None:
    """A name that a node does not serve would be an empty panel for ever."""
    asked = {name for text in re.findall(r'"expr": "(.*)"', grafana.TARGET.read_text()) for name in _names(text)}
    assert len(asked) >= 10
    async with served(tmp_path) as site:
        assert asked <= site.web.vitals.gatherer.catalogue().keys()


def _names(expression: str) -> list[str]:
    return re.findall(r"\b(?:tidewire|process)_\w+", expression)
