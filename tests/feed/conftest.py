"""A feed under test: a scripted venue, a manager, and what it handed up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.clock import HandClock
from tests.support.upstream import CEILING_S, KEY, Upstream
from tidewire.core.feed_status import FeedStatus, LineHealth
from tidewire.core.market import Tick
from tidewire.feed.multi_connection import MultiConnectionManager
from tidewire.feed.source import LineConfig

# Tuesday 2023-11-14 17:13:20 in New York: after hours, in session.
IN_SESSION = 1_700_000_000.0
# Saturday noon.
WEEKEND = 1_700_000_000.0 + 4 * 86_400

TURNS = 200


class Rig:
    """A venue, a clock driven by hand, and a manager whose output is kept."""

    def __init__(self, venue: Upstream, start: float = IN_SESSION) -> None:
        self.venue = venue
        self.clock = HandClock(start)
        self.ticks: list[Tick] = []
        self.statuses: list[FeedStatus] = []
        self.manager: MultiConnectionManager
        self._waiters: list[asyncio.Future[None]] = []
        self.connecting: asyncio.Task[bool] | None = None

    def build(self, *tickers: str, kind: Callable[..., Any] = MultiConnectionManager, **more: Any) -> None:
        """Make a manager with one line per argument (tickers separated by blanks; None: a disabled slot)."""
        lines = more.pop("lines", None) or [
            LineConfig(f"connection_{n}", f"line {n}", tickers=tuple(text.split()))
            for n, text in enumerate(tickers, start=1)
        ]
        self.manager = kind(
            lines,
            more.pop("url", None) or self.venue.url,
            more.pop("api_key", KEY),
            receive_ticks=more.pop("receive_ticks", self.receive_ticks),
            status_changed=self.receive_status,
            channels=more.pop("channels", ("T",)),
            clock=self.clock,
            rng=random.Random(7),
            **more,
        )

    async def start(self, *tickers: str, **more: Any) -> bool:
        """Build, connect and return what ``connect`` returned."""
        self.build(*tickers, **more)
        async with asyncio.timeout(CEILING_S):
            return await self.manager.connect()

    def begin(self, *tickers: str, **more: Any) -> None:
        """Build and connect in the background."""
        self.build(*tickers, **more)
        self.connecting = asyncio.create_task(self.manager.connect())

    def receive_ticks(self, ticks: list[Tick]) -> None:
        """Keep ticks."""
        self.ticks += ticks
        self._wake()

    def receive_status(self, status: FeedStatus) -> None:
        """Keep a status."""
        self.statuses.append(status)
        self._wake()

    def line(self, number: int = 1) -> LineHealth:
        """Return the health of a line now."""
        return self.manager.health().connections[f"connection_{number}"]

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait until something handed up has made ``condition`` true."""
        async with asyncio.timeout(CEILING_S):
            while not condition():
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    async def until_state(self, state: str, number: int = 1) -> LineHealth:
        """Wait until a line is in ``state``."""
        await self.until(lambda: self.line(number).state == state)
        return self.line(number)

    async def until_ended(self, cause: str, number: int = 1) -> LineHealth:
        """Wait until a line has recorded an ending with ``cause``."""
        await self.until(lambda: cause in [ending.cause for ending in self.line(number).endings])
        return self.line(number)

    async def reach_retry(self, number: int = 1) -> None:
        """Move the clock to just after a line's next attempt is due, not further."""
        due = self.line(number).next_retry_at
        assert due is not None
        await self.clock.advance(max(0.0, due - self.clock.time()) + 1e-3)

    async def pass_time(self, step_s: float, steps: int) -> None:
        """Move the clock in steps; between them pings, pongs and their like travel over the real sockets."""
        for _ in range(steps):
            await self.clock.advance(step_s)
            # Bytes on the loopback are there at the next poll, and each turn polls: no length of time is waited for.
            for _ in range(TURNS):
                await asyncio.sleep(0)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


@pytest.fixture
async def venue() -> AsyncIterator[Upstream]:
    """A scripted venue."""
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def rig(venue: Upstream) -> AsyncIterator[Rig]:
    """A rig that leaves nothing running."""
    rig = Rig(venue)
    yield rig
    if hasattr(rig, "manager"):
        await rig.manager.disconnect()
    if rig.connecting is not None:
        await rig.connecting
