"""Writes deploy/grafana/tidewire.json: the built-in dashboard, as Grafana draws it, so that both show the same figures.

``python -m tests.support.grafana`` renews the file; a test fails while it is out of date.
Source: Grafana manual, "Dashboard JSON model".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tidewire.monitoring.dashboard_builtin import OVERVIEW
from tidewire.monitoring.dashboard_model import Draft, Figure, Widget

TARGET = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "tidewire.json"
# Twelve columns of ours are twenty-four of Grafana's; a row of ours is 84 pixels, one of Grafana's 38.
WIDER, TALLER = 2, 2
KINDS = {"figure": "stat", "chart": "timeseries", "table": "table"}
TOTALS = {"sum": "sum", "max": "max", "min": "min", "mean": "avg"}
UNITS = (("_bytes", "decbytes"), ("_seconds", "s"), ("_ratio", "percentunit"))
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(draft: Draft = OVERVIEW) -> dict[str, Any]:
    """Return Grafana's document."""
    return {
        "title": "Tidewire",
        "uid": "tidewire-overview",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]},
        "panels": [panel(number, widget) for number, widget in enumerate(draft.widgets, 1)],
    }


def panel(number: int, widget: Widget) -> dict[str, Any]:
    """Return one panel."""
    table = widget.kind == "table"
    return {
        "id": number,
        "type": KINDS[widget.kind],
        "title": widget.title,
        "datasource": SOURCE,
        "gridPos": {
            "x": widget.x * WIDER,
            "y": widget.y * TALLER,
            "w": widget.w * WIDER,
            "h": widget.h * TALLER,
        },
        "fieldConfig": {"defaults": {"unit": unit(widget.figures[0])}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": SOURCE,
                "expr": promql(figure),
                "legendFormat": figure.metric,
                **({"instant": True, "format": "table"} if table else {}),
            }
            for i, figure in enumerate(widget.figures)
        ],
    }


def promql(figure: Figure) -> str:
    """Return the question to Prometheus that gives the same value."""
    chosen = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(figure.labels.items()))
    selector = f"{figure.metric}{{{chosen}}}" if chosen else figure.metric
    each = f"rate({selector}[1m])" if figure.shown == "per_second" else selector
    return f"{TOTALS[figure.total]}({each})"


def unit(figure: Figure) -> str:
    """Return Grafana's name of a figure's unit."""
    found = next((name for ending, name in UNITS if figure.metric.removesuffix("_total").endswith(ending)), "short")
    if figure.shown == "per_second":
        return "Bps" if found == "decbytes" else "cps"
    return found


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(dashboard(), indent=2) + "\n")
