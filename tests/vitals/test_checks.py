"""Checks are carried out when asked, each under its own deadline, once for all who ask at once."""

from __future__ import annotations

import asyncio

from tests.support.clock import HandClock
from tidewire.core.errors import Unavailable
from tidewire.vitals.checks import Check, Checks, Finding

TROUBLE = Unavailable("It is away.", required_action="Bring it back.", will_not="Nothing goes on without it.")


def checks(deadline_s: float = 5.0, **each: Check) -> Checks:
    """Return a round of these checks."""
    return Checks(each, HandClock(), node="a", instance="a:1", deadline_s=deadline_s)


async def fine() -> Finding:
    """All is well."""
    return Finding(12.345)


async def test_the_worst_check_decides() -> None:
    """Ok, degraded and failed with their sentences, in the order in which they are named."""

    async def badly() -> Finding:
        return Finding(concern=TROUBLE)

    async def away() -> Finding:
        raise TROUBLE

    found = await checks(one=fine).health()
    assert (found.status, found.node, found.checks[0].latency_ms) == ("ok", "a", 12.35)
    assert (await checks(one=fine, two=badly).health()).status == "degraded"
    found = await checks(one=badly, two=away, three=fine).health()
    assert (found.status, [each.status for each in found.checks]) == ("failed", ["degraded", "failed", "ok"])
    for each in found.checks[:2]:
        assert (each.reason, each.required_action, each.will_not) == (
            TROUBLE.message, TROUBLE.required_action, TROUBLE.will_not,
        )  # fmt: skip
        assert each.latency_ms is not None


async def test_what_hangs_is_failed_and_holds_up_nothing_else() -> None:
    """A check that does not answer has no latency and says so; the others have theirs."""

    async def hangs() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    found = await checks(0.05, one=hangs, two=fine).health()
    assert [(each.status, each.latency_ms is None) for each in found.checks] == [("failed", True), ("ok", False)]
    assert "0.05 s" in found.checks[0].reason


async def test_a_check_that_breaks_is_failed() -> None:
    """A fault of the check itself is not taken for health, and is told as what it is."""

    async def breaks() -> Finding:
        raise KeyError("gone")

    (result,) = (await checks(one=breaks).health()).checks
    assert (result.status, "KeyError" in result.reason) == ("failed", True)


async def test_all_who_ask_at_once_share_a_round_and_the_next_one_is_new() -> None:
    """One round for fifty, also when the first one gives up; afterwards everything is asked anew."""
    asked, go = 0, asyncio.Event()

    async def counted() -> Finding:
        nonlocal asked
        asked += 1
        await go.wait()
        return Finding()

    round_ = checks(one=counted)
    first = asyncio.create_task(round_.health())
    others = [asyncio.create_task(round_.health()) for _ in range(50)]
    await asyncio.sleep(0)
    first.cancel()
    go.set()
    assert {each.status for each in await asyncio.gather(*others)} == {"ok"}
    assert asked == 1
    await round_.health()
    assert asked == 2


async def test_stop_gives_up_what_is_under_way() -> None:
    """The end of the process does not wait for a check that hangs."""

    async def hangs() -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    round_ = checks(60.0, one=hangs)
    asking = asyncio.create_task(round_.health())
    await asyncio.sleep(0)
    await round_.stop()
    assert (await asyncio.gather(asking, return_exceptions=True))[0].__class__ is asyncio.CancelledError
