"""A subscriber that tests can wait on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from tests.support.waiting import until_told
from tidewire.bus.base import Bus, BusStatus
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.room_log import RoomLog


class Inbox:
    """Collects payloads of any channel; ``take`` waits for the event itself, with a ceiling."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.batches: list[tuple[str, int]] = []
        self._arrived = asyncio.Event()

    def receive(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Subscribe with this."""
        self.payloads.extend(payloads)
        self.batches.append((channel, len(payloads)))
        self._arrived.set()

    async def wait(self, count: int, ceiling_s: float = 20.0) -> list[bytes]:
        """Return everything once at least ``count`` payloads have come."""
        async with asyncio.timeout(ceiling_s):
            while len(self.payloads) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.payloads


async def wait_for_status(bus: Bus, holds: Callable[[BusStatus], bool], ceiling_s: float = 20.0) -> BusStatus:
    """Return the status as soon as ``holds`` is true of it, now or at a later change of state."""
    await until_told(lambda told: bus.on_state(lambda _: told()), lambda: holds(bus.status()), ceiling_s)
    return bus.status()


class Notices:
    """Writes down every change of state and every gap that a bus tells, and lets a test wait for them."""

    def __init__(self, bus: Bus) -> None:
        self.states: list[BusStatus] = []
        self.gaps: list[str] = []
        self._told = asyncio.Event()
        bus.on_state(self._state)
        bus.on_gap(self._gap)

    def _state(self, status: BusStatus) -> None:
        self.states.append(status)
        self._told.set()

    def _gap(self, channel: str) -> None:
        self.gaps.append(channel)
        self._told.set()

    @property
    def names(self) -> list[str]:
        """The states so far, by name."""
        return [status.state for status in self.states]

    async def wait(self, holds: Callable[[Notices], bool], ceiling_s: float = 20.0) -> None:
        """Return as soon as ``holds`` is true of what has been told."""
        async with asyncio.timeout(ceiling_s):
            while not holds(self):
                self._told.clear()
                await self._told.wait()


async def until_circuit(log: RedisRoomLog, circuit: str, ceiling_s: float = 20.0) -> None:
    """Return once a log's circuit is like that."""
    await until_told(log.commands.changed.add, lambda: log.status().circuit == circuit, ceiling_s)


async def until_state(log: RoomLog, state: str, ceiling_s: float = 40.0) -> None:
    """Return once a log is like that."""
    await until_told(log.on_state, lambda: log.status().state == state, ceiling_s)
