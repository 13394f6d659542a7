"""Checks that find something which works badly, or is near its limit: degraded, with figures and what to do."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Gauge

from tests.support.clock import HandClock
from tests.support.waiting import until
from tidewire.app import vitals_checks
from tidewire.core.feed_status import FeedReply, FeedStatus, LineHealth
from tidewire.core.loop_watch import LoopWatch
from tidewire.vitals.checks import Finding
from tidewire.vitals.sampler import Sampler


def said(found: Finding) -> str:
    """Return what is degraded, once it has its three sentences."""
    assert found.concern is not None
    assert found.concern.required_action
    assert found.concern.will_not
    return found.concern.message


def status(**lines: str) -> FeedStatus:
    """Return what a feed with these lines says."""
    connections = {
        name: LineHealth(name=name, status=state, enabled=state != "disabled")  # type: ignore[arg-type]
        for name, state in lines.items()
    }
    enabled = sum(line.enabled for line in connections.values())
    return FeedStatus(
        timestamp=0.0, source="massive", total_connections=enabled, connected_count=0, total_ticks_received=0,
        total_errors=0, unassigned_ticks=0, connections=connections,
    )  # fmt: skip


async def answered() -> FeedReply:
    """A feed that answers."""
    return FeedReply(id="1", ok=True)


async def test_a_feed_without_a_line_is_degraded_and_names_it() -> None:
    """A line that is not connected is named; one that is switched off is none."""
    found = await vitals_checks._feed(answered, lambda: status(a="connected", b="connected", c="disabled"))
    assert (found.concern, found.remark) == (None, "")
    found = await vitals_checks._feed(answered, lambda: status(a="connected", b="error", c="disabled"))
    assert said(found) == "1 of 2 lines are not connected: b."
    assert (await vitals_checks._feed(answered, lambda: None)).remark


async def test_a_loop_that_was_late_is_degraded() -> None:
    """Half a second of standing still is told for as long as somebody may still feel it."""
    watch = LoopWatch()
    watch.start()
    await until(lambda: watch.lag.count > 0)
    assert (await vitals_checks._event_loop(watch)).concern is None
    time.sleep(0.8)  # noqa: ASYNC251 - the loop is to stand still
    found = await vitals_checks._event_loop(watch)
    watch.stop()
    assert "ms late" in said(found)


async def test_files_that_run_out_are_told() -> None:
    """Nine tenths of the limit is degraded, with both figures; below it they are a remark."""
    registry = CollectorRegistry()
    used = Gauge("process_open_fds", "Open", registry=registry)
    Gauge("process_max_fds", "Limit", registry=registry).set(1000)
    clock = HandClock()
    sampler = Sampler(lambda: registry, clock, node="a", instance="a:1")
    used.set(899)
    found = await vitals_checks._files(sampler)
    assert (found.concern, found.remark) == (None, "899 of 1000 open")
    used.set(900)
    await clock.advance(1.0)
    assert said(await vitals_checks._files(sampler)) == "900 of 1000 file descriptors are open."
