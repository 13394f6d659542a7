"""Newcomers take turns: a storm of them leaves the event loop to those who are connected."""

from __future__ import annotations

import asyncio

import pytest

from tidewire.web.http_protocol import NEW_PER_TURN, Doorkeeper

pytestmark = pytest.mark.anyio


class Newcomer:
    """What the doorkeeper knows of a connection."""

    def __init__(self, handled: list[Newcomer]) -> None:
        self.loop = asyncio.get_running_loop()
        self._handled = handled

    def handle(self) -> None:
        """Its turn has come."""
        self._handled.append(self)


async def test_so_many_a_turn_the_rest_in_order() -> None:
    """32 are handled at once, the next 32 when the loop comes round, and so on; nobody is forgotten."""
    keeper, handled = Doorkeeper(10_000), list[Newcomer]()
    newcomers = [Newcomer(handled) for _ in range(3 * NEW_PER_TURN)]
    at_once = [newcomer for newcomer in newcomers if keeper.admit(newcomer)]  # type: ignore[arg-type]
    assert at_once == newcomers[:NEW_PER_TURN]
    assert handled == []
    seen = []
    while len(handled) < 2 * NEW_PER_TURN:
        await asyncio.sleep(0)
        seen.append(len(handled))
    assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) <= NEW_PER_TURN
    assert handled == newcomers[NEW_PER_TURN:]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert keeper.admit(Newcomer(handled))  # type: ignore[arg-type]
