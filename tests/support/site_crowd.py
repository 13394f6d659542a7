"""A crowd of clients of a process that runs in this very loop: driven in a thread, as users who are logged in."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from tests.support.crowd import Crowd, Guest
from tests.support.platform import PASSWORD, Served

_Result = TypeVar("_Result")
# contract.md section 5: connection limit of a user.
SOCKETS_EACH = 10
# Long enough for the crowd to read what has come, short enough to be quick to stop.
SLICE_S = 0.05


class SiteCrowd:
    """Clients that read all the while, unless they are told to stop.

    Attributes:
        guests: All that ever came, in order.
    """

    def __init__(self, site: Served, crowd: Crowd) -> None:
        self._site, self._crowd = site, crowd
        self.guests: list[Guest] = []
        self._turn = asyncio.Lock()

    async def arrive(
        self, username: str, count: int, *, receive_bytes: int | None = None, **headers: str
    ) -> list[Guest]:
        """Connect that many clients of a user; ``headers`` are added to what a browser sends."""
        given = {**self._site.headers(username), **{name.replace("_", "-"): text for name, text in headers.items()}}
        arrive = functools.partial(self._crowd.arrive, receive_bytes=receive_bytes)
        fresh = await self.do(arrive, self._site.port, [given] * count)
        self.guests += fresh
        return fresh

    async def enter(self, guests: Sequence[Guest], room_id: str) -> None:
        """Let them subscribe."""
        await self.do(self._crowd.enter, guests, room_id)

    async def stop_reading(self, guests: Sequence[Guest]) -> None:
        """Leave them connected and deaf."""
        await self.do(self._crowd.stop_reading, guests)

    async def drop(self, guests: Sequence[Guest]) -> None:
        """Lose their connections without a word."""
        for guest in guests:
            await self.do(self._crowd.drop, guest)

    async def do(self, work: Callable[..., _Result], *args: Any) -> _Result:
        """Run ``work`` in a thread, while nobody else reads."""
        async with self._turn:
            return await asyncio.to_thread(functools.partial(work, *args))

    async def read(self) -> None:
        """Read until cancelled: a client that is not told to be deaf answers pings and close frames."""
        while True:
            await self.do(self._crowd.breathe, SLICE_S)
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def site_crowd(site: Served) -> AsyncIterator[SiteCrowd]:
    """Yield a crowd that reads until the block ends."""
    with Crowd() as crowd:
        made = SiteCrowd(site, crowd)
        reading = asyncio.create_task(made.read())
        try:
            yield made
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def add_users(site: Served, names: Sequence[str]) -> None:
    """Create users and log them in."""
    for name in names:
        await site.accounts.create_user(name, PASSWORD, "user")
        await site.log_in(name)
