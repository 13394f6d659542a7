"""A task that nobody waits for says so when it dies."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tidewire.core.background import background


async def _break() -> None:
    raise ZeroDivisionError("a fault of ours")


async def test_a_fault_is_logged_at_once_although_the_task_is_kept() -> None:
    """The operator reads what happened, what to do and what will not be done, while the task object still lives."""
    with capture_logs() as lines:
        kept = background(_break(), "the-task")
        await asyncio.wait([kept])
        await asyncio.sleep(0)
    (line,) = lines
    assert (line["event"], line["log_level"], line["task"]) == ("task_died", "error", "the-task")
    assert "ZeroDivisionError" in line["what_happened"]
    assert line["required_action"]
    assert line["will_not"]


@pytest.mark.parametrize("cancel", [True, False])
async def test_an_orderly_end_is_not_a_death(cancel: bool) -> None:
    """Neither the end of the work nor a cancellation is logged."""
    with capture_logs() as lines:
        task = background(asyncio.sleep(3600 if cancel else 0), "the-task")
        if cancel:
            task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert lines == []
