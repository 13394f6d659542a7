"""The monitor's loops and the HTTP answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import httpx2
import msgspec
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from structlog.testing import capture_logs

from tests.support.admin import HandBus, feed_status, principal, tick_bytes
from tests.support.clock import HandClock
from tidewire.accounts.model import Principal, Role
from tidewire.core.errors import RequestError
from tidewire.core.feed_status import FEED_STATUS_CHANNEL
from tidewire.core.market import TICK_CHANNEL
from tidewire.monitoring.bus_tick import Seen
from tidewire.monitoring.feed_monitor import MAX_FRESH, FeedMonitor
from tidewire.monitoring.feed_report import FeedReport
from tidewire.monitoring.routes import monitoring_router
from tidewire.monitoring.viewer import FLUSH_EVERY_S


class Watcher:
    """Notes what it is called with; can be told to fail."""

    def __init__(self) -> None:
        self.absorbed = 0
        self.flushes = 0
        self.seconds: list[int] = []
        self.reports: list[FeedReport] = []
        self.failing = False

    def absorb(self, ticks: Sequence[Seen]) -> None:
        """Note."""
        self.absorbed += len(ticks)

    def flush(self) -> None:
        """Note, or fail."""
        self.flushes += 1
        if self.failing:
            raise ValueError("a bug")

    def second(self, second: int, points: Mapping[str, msgspec.Raw]) -> None:
        """Note."""
        assert "unassigned" in points
        self.seconds.append(second)

    def status_changed(self, report: FeedReport) -> None:
        """Note."""
        self.reports.append(report)


async def test_the_loops_run_from_the_first_second_and_stop() -> None:
    """A flush each FLUSH_EVERY_S, one second each second; nothing runs after stop; start works again."""
    clock, bus, watcher = HandClock(), HandBus(), Watcher()
    monitor = FeedMonitor(bus=bus, clock=clock)
    monitor.attach(watcher)
    monitor.start()
    with pytest.raises(RuntimeError, match="already"):
        monitor.start()
    flushes = int(3.01 / FLUSH_EVERY_S)
    await clock.advance((flushes + 0.5) * FLUSH_EVERY_S)
    assert (watcher.flushes, watcher.seconds) == (flushes, [1_700_000_001, 1_700_000_002, 1_700_000_003])
    await monitor.stop()
    await monitor.stop()
    await clock.advance(5.0)
    assert (watcher.flushes, bus.subscribers()) == (flushes, 0)
    monitor.start()
    await clock.advance(10.5 * FLUSH_EVERY_S)
    assert watcher.flushes == flushes + 10
    await monitor.stop()


async def test_a_loop_that_fails_goes_on_and_says_so() -> None:
    """A bug in one round is logged and counted, the next round comes, and the status shows both."""
    clock, watcher = HandClock(), Watcher()
    monitor = FeedMonitor(bus=HandBus(), clock=clock)
    monitor.attach(watcher)
    monitor.start()
    watcher.failing = True
    with capture_logs() as logs:
        await clock.advance(3.5 * FLUSH_EVERY_S)
    watcher.failing = False
    await clock.advance(2 * FLUSH_EVERY_S)
    loop = monitor.status()["loops"]["flush"]
    assert (loop["running"], loop["runs"], loop["failures"]) == (True, 5, 3)
    assert loop["last_error"] == "ValueError: a bug"
    assert loop["last_run_age"] < FLUSH_EVERY_S
    assert {log["event"] for log in logs} == {"monitoring_loop_failed"}
    await monitor.stop()


async def test_a_loop_that_stands_still_becomes_a_warning() -> None:
    """If a task is gone, the status says which."""
    clock = HandClock()
    monitor = FeedMonitor(bus=HandBus(), clock=clock)
    monitor.start()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "loop:flush"]
    task.cancel()
    await clock.advance(1.0)
    assert "The monitor's flush loop is late." in monitor.status()["warnings"]
    await monitor.stop()


async def test_malformed_messages_are_logged_once_a_minute() -> None:
    """With a sample, a count, and what to do."""
    clock, bus = HandClock(), HandBus()
    monitor = FeedMonitor(bus=bus, clock=clock)
    monitor.start()
    with capture_logs() as logs:
        bus.publish(TICK_CHANNEL, [b"rubbish"] * 3)
        bus.publish(TICK_CHANNEL, [b"more"])
        bus.publish(FEED_STATUS_CHANNEL, [b"{}"])
        await clock.advance(61.0)
    await monitor.stop()
    assert [(log["new"], log["total"]) for log in logs] == [(3, 3), (2, 5)]
    assert logs[0]["sample"] == "rubbish"
    assert logs[0]["required_action"]
    assert logs[0]["will_not"]


async def test_a_burst_between_two_flushes_is_handed_on_early() -> None:
    """Nothing is lost and nothing piles up, however many ticks come in one go."""
    bus, watcher = HandBus(), Watcher()
    monitor = FeedMonitor(bus=bus, clock=HandClock())
    monitor.attach(watcher)
    monitor.start()
    monitor.view.collecting = True
    burst = [tick_bytes()] * 5_000
    for _ in range(9):
        bus.publish(TICK_CHANNEL, burst)
        assert monitor.statistics()["view"]["fresh"] <= MAX_FRESH
    assert watcher.absorbed + monitor.statistics()["view"]["fresh"] == 45_000
    await monitor.stop()


async def test_only_real_changes_of_status_are_told() -> None:
    """Counters and rates change all the time and are not news; a line that drops is."""
    clock, bus, watcher = HandClock(), HandBus(), Watcher()
    monitor = FeedMonitor(bus=bus, clock=clock)
    monitor.attach(watcher)
    monitor.start()
    for total in range(5):
        bus.publish(FEED_STATUS_CHANNEL, [msgspec.json.encode(feed_status(total_ticks_received=total))])
        await clock.advance(0.2)
    assert len(watcher.reports) == 1
    bus.publish(FEED_STATUS_CHANNEL, [msgspec.json.encode(feed_status(connected_count=1))])
    await clock.advance(0.2)
    assert len(watcher.reports) == 2
    await monitor.stop()


def status_app(monitor: FeedMonitor, who: Principal | None) -> FastAPI:
    """The route behind a door that lets ``who`` in."""
    app = FastAPI()
    app.include_router(monitoring_router(monitor))

    @app.middleware("http")
    async def door(request: Request, call_next):  # type: ignore[no-untyped-def]
        request.state.principal = who
        return await call_next(request)

    @app.exception_handler(RequestError)
    async def problem(_: Request, exc: RequestError) -> JSONResponse:
        return JSONResponse(exc.describe(), exc.status)

    return app


@pytest.mark.parametrize(
    ("who", "status"),
    [(None, 401), (principal(role=Role.MODERATOR), 403), (principal(), 200), (principal(role=Role.SUPER), 200)],
)
async def test_the_status_is_for_administrators(who: Principal | None, status: int) -> None:
    """Anonymous 401, others 403, admin and super the whole status, never cached."""
    bus = HandBus()
    monitor = FeedMonitor(bus=bus, clock=HandClock())
    monitor.start()
    bus.publish(FEED_STATUS_CHANNEL, [msgspec.json.encode(feed_status())])
    transport = httpx2.ASGITransport(app=status_app(monitor, who))
    async with httpx2.AsyncClient(transport=transport, base_url="http://tidewire.test") as client:
        answer = await client.get("/api/admin/websocket-status")
    assert answer.status_code == status
    if status == 200:
        body = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert (body["status"], body["timestamp"], body["connected_count"]) == ("ok", 1_700_000_000.0, 2)
        assert {"total_connections", "total_ticks_received", "total_errors", "connections", "paused"} <= set(body)
        assert {"warnings", "unassigned", "bus_errors", "feed_silent_since", "loops"} <= set(body)
        assert body["connections"]["connection_3"]["enabled"] is False
    await monitor.stop()
