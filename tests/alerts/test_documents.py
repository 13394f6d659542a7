"""What the documents promise of alerts: every shipped rule as it is, every message as its struct encodes it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from tests.support.admin import feed_status
from tests.support.alerts import Judge
from tests.support.waiting import until
from tidewire.alerts.defaults import DEFAULTS
from tidewire.alerts.rule import Rule
from tidewire.alerts.rule_text import read_rule
from tidewire.alerts.wire import AdminAlert
from tidewire.web.language import LOCALES

DOCS = Path(__file__).parents[2] / "docs"
ALERTS = (DOCS / "alerts.md").read_text("utf-8")
SECTION = (DOCS / "protocol.md").read_text("utf-8").split("\n## Alerts\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)\n```", SECTION, re.DOTALL))
def test_every_message_is_what_its_struct_encodes(example: str) -> None:
    """A documented message decodes into its struct and encodes to the same object again."""
    message = msgspec.json.decode(example, type=AdminAlert)
    assert json.loads(msgspec.json.encode(message)) == json.loads(example)


def test_the_documented_rule_is_one() -> None:
    """The example is read as a rule."""
    (example,) = re.findall(r"```json\n(.*?)\n```", ALERTS, re.DOTALL)
    rule = read_rule(example.encode(), "crowded", {"tidewire_hub_connections": frozenset({"node"})})
    assert (rule.threshold, rule.clear, rule.by) == (9000, 8500, ("node",))


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.key)
def test_every_shipped_rule_is_documented_as_it_is(rule: Rule) -> None:
    """Key, severity, metric, comparison, threshold, time and advice stand in its row."""

    (row,) = [line for line in ALERTS.splitlines() if line.startswith(f"| `{rule.key}` |")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == rule.severity
    assert rule.figure.metric in cells[2]
    clear = "" if rule.clear is None else f", good at {rule.clear:g}"
    assert cells[3] == f"{rule.compare} {rule.threshold:g}{clear}"
    assert (cells[4], cells[6]) == (f"{rule.for_s:g} s", rule.advice)


async def test_every_shipped_rule_has_its_metric(judge: Judge) -> None:
    """Once the feed has reported, no shipped rule of a running process is without figures."""

    for _ in range(8):
        judge.feed(feed_status(judge.clock.time()))
        await until(lambda: judge.site.web.monitor.report().feed is not None)
        await judge.step()
    board = judge.side.herald.board
    assert board is not None
    assert {state.key for state in board.rules if state.state == "no_data"} == set()


@pytest.mark.parametrize("rule", DEFAULTS, ids=lambda rule: rule.key)
def test_every_shipped_rule_has_words_in_each_language(rule: Rule) -> None:
    """The English ones are the rule's own, so that a page knows which text it may show in another language."""
    english, german = (json.loads((LOCALES / f"{name}.json").read_text("utf-8")) for name in ("en", "de"))
    keys = (f"rule.name.{rule.key}", f"rule.advice.{rule.key}")
    assert [english[key] for key in keys] == [rule.name, rule.advice]
    assert all(german[key] != english[key] for key in keys)
