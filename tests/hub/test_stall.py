"""A hub whose event loop has stood still (reliability.md bar R18)."""

from __future__ import annotations

from tests.hub.conftest import Stage


async def test_nobody_is_judged_by_silence_that_the_hub_did_not_hear(stage: Stage) -> None:
    """The answer to a heartbeat came during a stall longer than its deadline: it is read before anybody is closed."""
    alive, dead = await stage.client("user-1"), await stage.client("user-2")
    await stage.clock.advance(25.5)
    for client in (alive, dead):
        assert client.read("heartbeat")
    stage.clock.jump(12.0)
    await stage.clock.advance(0.0)
    # Only now does the loop get to read what lay in the kernel.
    alive.send("ping")
    await stage.clock.advance(1.0)
    assert alive.socket.closed is None
    assert dead.socket.closed == (4004, "no_pong")


async def test_a_loop_that_is_always_late_still_keeps_its_deadlines(stage: Stage) -> None:
    """The benefit of the doubt is given once per tick, not for ever."""
    dead = await stage.client("user-1")
    await stage.clock.advance(25.5)
    for _ in range(20):
        stage.clock.jump(2.0)
        await stage.clock.advance(0.0)
    assert dead.socket.closed == (4004, "no_pong")
