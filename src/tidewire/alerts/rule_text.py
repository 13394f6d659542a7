"""Reads a rule from what somebody sent, strictly: every field that cannot be is named, with the reason. Pure.

It must not know how rules are stored or judged. Source: docs/alerts.md, "Rules of your own".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from tidewire.alerts.rule import Figure, Rule
from tidewire.core.errors import InvalidFields, InvalidRequest
from tidewire.core.unreadable import UNREADABLE

_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,63}")
# A day: whoever wants to know of something later than that wants a report.
FOR_MAX_S = 86_400.0
# Shorter than two samples is no rate; what a rate needs is remembered for every series.
WINDOW_MIN_S, WINDOW_MAX_S = 10.0, 3_600.0
NUMBER_MAX = 1e15
_WILL_NOT = "Tidewire will not guess what was meant; no rule was changed."
_HOW = "Send a rule as docs/alerts.md describes it, at most 64 KiB of JSON."


def read_rule(document: bytes, key: str, metrics: Mapping[str, frozenset[str]]) -> Rule:
    """Return the rule.

    Args:
        document: JSON; ``key`` may be left out of it.
        key: Its name in the address.
        metrics: Every metric that there is, with the names of its labels.

    Raises:
        InvalidRequest: It is no rule: not JSON, a field is missing, unknown or of another kind.
        InvalidFields: Values that cannot be, or that refer to nothing; all are named.
    """
    try:
        given = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
        given.setdefault("key", msgspec.Raw(msgspec.json.encode(key)))
        rule = msgspec.json.decode(msgspec.json.encode(given), type=Rule)
    except UNREADABLE as exc:
        raise InvalidRequest(
            f"This is no rule: {str(exc)[:200]}", required_action=_HOW, will_not=_WILL_NOT, code="bad_rule"
        ) from exc
    problems = _Problems(metrics)
    problems.look(rule, key)
    if problems.found:
        raise InvalidFields(problems.found, problems.reasons)
    return rule


class _Problems:
    """What is wrong with a rule."""

    def __init__(self, metrics: Mapping[str, frozenset[str]]) -> None:
        self._metrics = metrics
        self.found: dict[str, str] = {}
        self.reasons: dict[str, dict[str, str | int]] = {}

    def look(self, rule: Rule, key: str) -> None:
        """Note everything that is wrong."""
        if _KEY.fullmatch(rule.key) is None or rule.key != key:
            self._note(
                "key", "bad_key", "It begins with a-z, has a-z, 0-9 and _, at most 48, and is that of the address."
            )
        if not 1 <= len(rule.name.strip()) <= 80 or not rule.name.isprintable():
            self._note("name", "bad_name", "It has 1 to 80 printable characters.", most=80)
        if len(rule.advice) > 500 or not rule.advice.isprintable():
            self._note("advice", "too_long", "It has at most 500 printable characters.", most=500)
        self._numbers(rule)
        self._figure("figure", rule.figure)
        if rule.over is not None:
            self._figure("over", rule.over)
        if rule.unless is not None and rule.unless not in self._metrics:
            self._note("unless", "unknown_metric", "No node has measured a metric of this name.")
        self._groups(rule)

    def _numbers(self, rule: Rule) -> None:
        for name, value in (("threshold", rule.threshold), ("clear", rule.clear), ("least", rule.least)):
            if value is not None and not (math.isfinite(value) and abs(value) <= NUMBER_MAX):
                self._note(name, "not_a_number", "It is a finite number, at most 1e15 away from zero.")
        if rule.least < 0:
            self._note("least", "below_zero", "A denominator's least value is not below zero.")
        for name, seconds in (("for_s", rule.for_s), ("clear_for_s", rule.clear_for_s)):
            if not 0 <= seconds <= FOR_MAX_S:
                self._note(name, "out_of_range", "It is 0 to 86400 seconds.", least=0, most=86_400)
        if rule.clear is None or {"clear", "threshold"} & self.found.keys():
            return
        above = rule.compare in (">", ">=")
        if rule.clear > rule.threshold if above else rule.clear < rule.threshold:
            side = "below" if above else "above"
            what = f"With {rule.compare} it is the threshold itself or {side} it."
            self._note("clear", "wrong_side", what, compare=rule.compare)

    def _figure(self, name: str, figure: Figure) -> None:
        labels = self._metrics.get(figure.metric)
        if labels is None:
            self._note(f"{name}.metric", "unknown_metric", "No node has measured a metric of this name.")
        for label, value in figure.where.items():
            if (
                _LABEL.fullmatch(label) is None
                or len(value) > 200
                or not value.isprintable()
                or (labels is not None and label not in labels)
            ):
                self._note(f"{name}.where", "unknown_label", "A label is not one of the metric's.")
        if len(figure.where) > 10:
            self._note(f"{name}.where", "too_many", "At most 10 labels.", most=10)
        if figure.read == "rate" and not figure.metric.endswith("_total"):
            self._note(f"{name}.read", "no_counter", "Only a counter (its name ends in _total) has a rate.")
        if not WINDOW_MIN_S <= figure.window_s <= WINDOW_MAX_S:
            self._note(f"{name}.window_s", "out_of_range", "It is 10 to 3600 seconds.", least=10, most=3_600)

    def _groups(self, rule: Rule) -> None:
        if len(set(rule.by)) != len(rule.by) or len(rule.by) > 5:
            self._note("by", "bad_labels", "At most 5 labels, each once.", most=5)
        for figure in (rule.figure, rule.over):
            labels = None if figure is None else self._metrics.get(figure.metric)
            if labels is not None and not set(rule.by) <= labels:
                self._note("by", "unknown_label", "A label is not one of the metric's.")

    def _note(self, name: str, code: str, what: str, **named: str | int) -> None:
        self.found.setdefault(name, what)
        self.reasons.setdefault(name, {"code": code, **named})
