"""The fault table claims nothing that is not there (reliability.md bar R21)."""

from __future__ import annotations

import ast
import asyncio
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tests.meta.fault_table import NOT_BUILT, ROWS, SIGNALS, Row
from tests.meta.source import ROOT, calls, modules, name_of
from tests.support.platform import served
from tidewire.bus.base import Bus, BusState
from tidewire.core.close_code import BY_NAME, CLOSE_CODES
from tidewire.core.feed_status import FEED_STATUS_CHANNEL, LineState
from tidewire.hub.registry import ConnectionInfo

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
DOCUMENTS = OPERATIONS + (ROOT / "docs" / "protocol.md").read_text()
# Rows of the table "Alerts": name, expression, what to do.
ALERTS = dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \| [^|]{10,} \|$", OPERATIONS, re.MULTILINE))
FEED = b"""{"timestamp":1.0,"source":"massive","total_connections":1,"connected_count":0,"total_ticks_received":0,
"total_errors":0,"connections":{"connection_1":{"name":"a","status":"error","enabled":true,"state":"failed"}}}"""

by_fault = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@functools.cache
def logged_events() -> frozenset[str]:
    """Every event that the source logs at info or above."""
    levels = {"info", "warning", "error", "exception", "critical"}
    found = set()
    for module in modules():
        for call in calls(module.tree):
            is_log = isinstance(call.func, ast.Attribute) and name_of(call.func.value).endswith("log")
            says = (is_log and name_of(call) in levels) or name_of(call) == "Tally"
            if says and call.args and isinstance(call.args[0], ast.Constant):
                found.add(str(call.args[0].value))
    return frozenset(found)


@functools.cache
def literals() -> frozenset[str]:
    """Every text that stands in the source."""
    nodes = (node for module in modules() for node in ast.walk(module.tree))
    return frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


@functools.cache
def functions_of(file: str) -> frozenset[str]:
    """The test functions of a file."""
    tree = ast.parse((ROOT / file).read_text())
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(f.name for f in functions if f.name.startswith("test_"))


@by_fault
def test_the_named_tests_exist(row: Row) -> None:
    """Each fault names at least one test, and it is there."""
    assert row.tests
    for file, _, function in (name.partition("::") for name in row.tests):
        assert function in functions_of(file), f"{file}::{function}"


@by_fault
def test_the_log_line_is_in_the_source(row: Row) -> None:
    """The event is really logged, at a level that is on by default."""
    assert row.log is None or row.log in logged_events()


@by_fault
def test_clients_see_a_code_of_the_contract(row: Row) -> None:
    """The code is a close code's name, or one that is both in the source and in the documents."""
    if row.client is None:
        return
    kind, _, status = row.client.partition(":")
    if kind == "http":
        assert f"{status} Service Unavailable" in literals()
    else:
        assert row.client in BY_NAME or (row.client in literals() and f"`{row.client}`" in DOCUMENTS)


@by_fault
def test_the_alert_looks_at_the_metric(row: Row) -> None:
    """The documented alert's expression reads the metric that the row names."""
    if row.alert is None:
        return
    assert row.metric is not None
    assert re.search(rf"\b{row.metric}\b", ALERTS[row.alert]), ALERTS[row.alert]


def test_alerts_look_for_values_that_can_come() -> None:
    """States of a line and close codes in expressions are ones that exist."""
    for expression in ALERTS.values():
        for state in _values(expression, "state"):
            assert state in get_args(LineState)
        for code in _values(expression, "code"):
            assert int(code) in CLOSE_CODES or 1000 <= int(code) <= 1015


def _values(expression: str, label: str) -> Iterator[str]:
    for value in re.findall(rf'\b{label}=~?"([^"]+)"', expression):
        if value.isalnum() or "_" in value:
            yield value


async def test_states_and_metrics_are_really_shown(tmp_path: Path, valkey_url: str) -> None:
    """What the table and the alerts name is in /metrics and /healthz of a running process."""
    async with served(tmp_path, redis_url=valkey_url) as process:
        await _tell_feed(process.platform.bus)
        async with process.http() as http:
            text = (await http.get("/metrics")).text
            checks = (await http.get("/healthz")).json()["checks"]
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert 'tidewire_feed_line_state{line="connection_1",state="failed"} 1.0' in text
    wanted = {row.metric for row in ROWS if row.metric is not None}
    wanted |= {name for expression in ALERTS.values() for name in re.findall(r"\btidewire_\w+", expression)}
    assert wanted - exported == set()
    known = {
        "line": set(get_args(LineState)),
        "bus": set(get_args(BusState)),
        "ready": set(checks),
        "record": set(ConnectionInfo.__annotations__) | set(getattr(ConnectionInfo, "__struct_fields__", ())),
    }
    for row in ROWS:
        if row.state is not None:
            kind, _, value = row.state.partition(":")
            assert value in known[kind], row.name


async def _tell_feed(bus: Bus) -> None:
    """Let the process hear of a feed, and of its own round trip to the broker."""
    heard = asyncio.Event()
    subscription = bus.subscribe(FEED_STATUS_CHANNEL, lambda *_: heard.set())
    await subscription.ready()
    bus.publish(FEED_STATUS_CHANNEL, [FEED])
    async with asyncio.timeout(45):
        await heard.wait()
        await bus.ping()
    subscription.close()


def missing_lines() -> list[str]:
    """What docs/operations.md must say is not signalled."""
    return [f"| {row.name} | {', '.join(gone.signals)} | {gone.why} |" for row in ROWS for gone in row.missing]


@by_fault
def test_every_signal_is_there_or_missing_for_a_reason(row: Row) -> None:
    """Each of the five signals is named, or its absence is; never both."""
    missing = [signal for gone in row.missing for signal in gone.signals]
    given = [signal for signal in SIGNALS if getattr(row, signal) is not None]
    assert sorted([*missing, *given]) == sorted(SIGNALS)
    assert all(len(gone.why.split()) > 3 for gone in row.missing)


def test_what_is_missing_is_documented() -> None:
    """A signal that does not exist, and a fault that is not handled yet, are admitted in the operator's handbook."""
    _, _, after = OPERATIONS.partition("### Signals that do not exist")
    table, _, later = after.partition("### Faults that are not handled yet")
    assert re.findall(r"^\| (?!fault|---).*$", table, re.MULTILINE) == missing_lines()
    later = later.partition("\n## ")[0]
    assert re.findall(r"^- (.*)$", later, re.MULTILINE) == list(NOT_BUILT)


def test_every_fault_stands_once() -> None:
    """No fault is both built and not built, and none is there twice."""
    names = [row.name for row in ROWS] + list(NOT_BUILT)
    assert len(names) == len(set(names))
