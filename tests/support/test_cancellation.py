"""The cancelling helper itself: it counts suspensions rightly and cancels like a caller would."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cancellation import cancelled_at


async def test_each_point_in_turn() -> None:
    """Three suspensions are three points; a fourth is not found, and cleaning up may suspend too."""
    passed: list[int] = []
    cleaned: list[int] = []

    async def work(at: int) -> None:
        try:
            for number in range(3):
                await asyncio.sleep(0)
                passed.append(at * 10 + number)
        finally:
            cleaned.append(at)

    assert [await cancelled_at(work(at), at) for at in (1, 2, 3, 4)] == [True, True, True, False]
    assert passed == [20, 30, 31, 40, 41, 42]
    assert cleaned == [1, 2, 3, 4]


async def test_what_is_awaited_is_cancelled_too() -> None:
    """A future that the coroutine waits for is cancelled, as by Task.cancel()."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        await future

    assert await cancelled_at(work(), 1)
    assert future.cancelled()


async def test_an_error_of_the_coroutine_is_its_caller_s() -> None:
    """What it raises is raised here."""

    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await cancelled_at(work(), 5)
