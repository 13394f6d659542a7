"""The watch over the event loop (reliability.md bar R18)."""

from __future__ import annotations

import threading
import time

import pytest
import structlog

from tests.support.waiting import eventually, until
from tidewire.core.errors import Unavailable
from tidewire.core.loop_watch import LoopWatch


def stand_still(watch: LoopWatch) -> None:
    """Hold the loop until the watch has seen it."""
    before = watch.stalls
    deadline = time.monotonic() + 20
    while watch.stalls == before:
        assert time.monotonic() < deadline, "the watch saw nothing"
        threading.Event().wait(0.01)


def block(seconds: float) -> None:
    """Hold the loop for that long."""
    time.sleep(seconds)


async def refusal(watch: LoopWatch) -> str | None:
    """Return why the process is not ready."""
    try:
        await watch.ready()
    except Unavailable as refused:
        return refused.code
    return None


async def logged(log: list[structlog.types.EventDict], event: str) -> structlog.types.EventDict:
    """Wait for a log line; the thread writes it."""
    await until(lambda: any(line["event"] == event for line in log), 20)
    return next(line for line in log if line["event"] == event)


async def test_a_loop_that_stands_still_is_told_with_its_stack() -> None:
    """The line comes while the loop still stands, names the call that holds it, and its end is told too."""
    watch = LoopWatch(stall_s=0.2)
    with structlog.testing.capture_logs() as log:
        watch.start()
        stand_still(watch)
        stalled = await logged(log, "event_loop_stalled")
        resumed = await logged(log, "event_loop_resumed")
        watch.stop()
    assert "stand_still" in stalled["stack"]
    assert {"required_action", "will_not"} <= set(stalled)
    assert stalled["stalled_ms"] >= 200
    assert resumed["stood_still_ms"] >= stalled["stalled_ms"] - 100
    assert watch.stalls == 1
    assert watch.longest_s >= 0.2
    await watch.ready()


async def test_after_a_long_stall_the_process_is_not_ready() -> None:
    """Nobody should be sent here for a while, and the reason says why."""
    watch = LoopWatch(stall_s=0.1, unready_s=0.2)
    watch.start()
    await watch.ready()
    block(0.5)
    # The first beat after the stall says how long it was.
    await eventually(lambda: refusal(watch))
    assert await refusal(watch) == "event_loop_stalled"
    watch.stop()


async def test_how_late_the_loop_is_can_be_read() -> None:
    """A held loop is one late beat in the histogram and the longest delay of late, also while it goes on."""
    watch = LoopWatch(stall_s=30.0)
    watch.start()
    await until(lambda: watch.lag.count > 0)
    block(0.4)
    # The beat that would say so has not come yet.
    assert watch.recent_s() >= 0.29
    counted = watch.lag.count
    await until(lambda: watch.lag.count > counted)
    assert watch.recent_s() >= 0.29
    late = dict(watch.lag.buckets())
    assert late["+Inf"] - late["0.25"] == 1
    watch.stop()


async def test_a_loop_that_runs_is_not_told_and_stopping_ends_the_thread() -> None:
    """No line and no thread are left; it may be started again, and not twice."""
    watch = LoopWatch(stall_s=30.0)
    with structlog.testing.capture_logs() as log:
        for _ in range(2):
            watch.start()
            with pytest.raises(RuntimeError):
                watch.start()
            watch.stop()
            watch.stop()
    assert log == []
    assert not any(thread.name == "loop-watch" for thread in threading.enumerate())
