"""Three pages on two nodes to whom anything may happen, step by step; at the end all must show the same quote."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.support.quote_stage import QuoteStage, Tab, check
from tidewire.core.errors import Conflict, StoreError

TABS = 3
VALUES: dict[str, list[Any]] = {
    "notes": ["a", "b", None],
    "vehicle_year": [2019, 2020, 2021],
    "state": ["CA", "NY"],
    "driver_name": ["Ada", "Bob"],
}


class Play:
    """One interleaving."""

    def __init__(self, stage: QuoteStage, quote_id: str) -> None:
        self._stage = stage
        self._quote_id = quote_id
        self.tabs = [Tab.of(stage, quote_id, number + 1) for number in range(TABS)]
        self._rating: list[asyncio.Task[None]] = []
        for number, tab in enumerate(self.tabs):
            tab.connect(number % 2)

    async def step(self, kind: str, which: int, what: Any) -> None:
        """Let one thing happen; only ``settle`` and ``turns`` wait for anything."""
        if kind == "turns":
            for _ in range(which):
                await asyncio.sleep(0)
        elif kind == "rate":
            self._rating.append(asyncio.ensure_future(self._stage.rate(which, self._quote_id)))
        elif kind == "settle":
            await self.tabs[which].settle(what)
        else:
            self._act(self.tabs[which], kind, what)

    def _act(self, tab: Tab, kind: str, what: Any) -> None:
        acts: dict[str, Callable[[], object]] = {
            "edit": lambda: tab.edit(*what),
            "old": lambda: tab.edit(*what, base=0),
            "again": tab.again,
            "cut": tab.disconnect,
            "connect": lambda: tab.connect(what),
            "read": tab.read,
        }
        acts[kind]()

    async def end(self) -> None:
        """Let everybody come to rest, and compare."""
        for result in await asyncio.gather(*self._rating, return_exceptions=True):
            assert result is None or isinstance(result, Conflict | StoreError), result
        # Twice: what the last one had not sent yet may have come after the first one was done.
        for number, tab in [*enumerate(self.tabs), *enumerate(self.tabs)]:
            await tab.settle(number % 2)
        await check(self._stage, self._quote_id, self.tabs)
