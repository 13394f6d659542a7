"""Starts a task that nobody waits for, and says so when it dies. It must not know what the task does.

asyncio keeps a dead task's fault to itself until the task object is thrown away, which for a task that is kept until
the program stops is never. Here the fault is logged in the moment it happens.
Source: Python manual, "asyncio.Task": "add_done_callback"; reliability bar R21.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

_T = TypeVar("_T")
_log = structlog.get_logger("tidewire.background")


def background(work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
    """Run a coroutine as a task of its own; the caller keeps the task.

    Args:
        name: What it is, for the log and for people who look at the tasks.
    """
    task: asyncio.Task[_T] = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_tell)
    return task


def _tell(task: asyncio.Task[Any]) -> None:
    if task.cancelled() or (fault := task.exception()) is None:
        return
    _log.error(
        "task_died",
        task=task.get_name(),
        what_happened=repr(fault),
        required_action="Restart the process and report this line.",
        will_not="Tidewire will not start this task again by itself.",
        exc_info=fault,
    )
