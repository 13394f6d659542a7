"""Writes deploy/prometheus/alerts.yaml: the shipped alert rules for a Prometheus that watches Tidewire from outside.

``python -m tests.support.prometheus_rules`` renews the file; a test fails while it is out of date.
Source: Prometheus manual, "Alerting rules", "Functions".
"""

from __future__ import annotations

import json
from pathlib import Path

from tidewire.alerts.defaults import DEFAULTS
from tidewire.alerts.readings import AGE_METRIC
from tidewire.alerts.rule import Figure, Rule

TARGET = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "alerts.yaml"
HEAD = """\
# The alert rules that come with Tidewire (docs/alerts.md), for a Prometheus that watches it from outside: what it can
# not say of itself because it is gone, somebody else must. Made from the rules in the program; do not edit.
# Different here: Prometheus knows no second threshold at which an alert ends, and no trading session. Rules that hold
# in session only are judged from 15 to 20 h UTC on weekdays, which is in the session of New York all year round.
"""
IN_SESSION = "(day_of_week() > 0 < 6 and hour() >= 15 < 20)"
# Prometheus sees for itself that a process does not answer.
ABSENT = 'up{job="tidewire"} == 0'


def document(rules: tuple[Rule, ...] = DEFAULTS) -> str:
    """Return the file."""
    lines = [HEAD + "groups:", "  - name: tidewire", "    rules:"]
    for rule in rules:
        lines += [
            f"      - alert: {alert_name(rule.key)}",
            f"        expr: {json.dumps(expression(rule))}",
            f"        for: {rule.for_s:g}s",
            *([f"        keep_firing_for: {rule.clear_for_s:g}s"] if rule.clear_for_s else []),
            f"        labels: {{severity: {rule.severity}}}",
            "        annotations:",
            f"          summary: {json.dumps(rule.name)}",
            f"          description: {json.dumps(rule.advice)}",
        ]
    return "\n".join(lines) + "\n"


def alert_name(key: str) -> str:
    """Return a rule's name as Prometheus writes them."""
    return "Tidewire" + "".join(word.capitalize() for word in key.split("_"))


def expression(rule: Rule) -> str:
    """Return the question to Prometheus that is answered while a rule's threshold is passed."""
    if rule.figure.metric == AGE_METRIC:
        return ABSENT
    value = combined(rule, rule.figure)
    if rule.over is not None:
        value = f"{value} / ({combined(rule, rule.over)} >= {rule.least:g})"
    text = f"{value} {rule.compare} {rule.threshold:g}"
    if rule.hours == "session":
        text = f"({text}) and on() {IN_SESSION}"
    if rule.unless is not None:
        text = f"({text}) unless on() (max({rule.unless}) > 0)"
    return text


def combined(rule: Rule, figure: Figure) -> str:
    """Return one number for each group of series."""
    worst = "max" if rule.compare in (">", ">=") else "min"
    if rule.combine == "any" and not rule.by:
        return read(figure)
    name = worst if rule.combine == "any" else rule.combine
    by = f" by ({', '.join(rule.by)})" if rule.by else ""
    return f"{name}{by} ({read(figure)})"


def read(figure: Figure) -> str:
    """Return a figure's series."""
    chosen = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(figure.where.items()))
    series = f"{figure.metric}{{{chosen}}}" if chosen else figure.metric
    if figure.read == "rate":
        return f"rate({series}[{figure.window_s:g}s])"
    return f"(time() - {series})" if figure.read == "age" else series


if __name__ == "__main__":
    TARGET.write_text(document())
