"""Both buses, started, and a channel that nobody else uses."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator

import pytest

from tests.support.valkey import valkey, valkey_url
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.redis import RedisBus
from tidewire.core.clock import SystemClock

__all__ = ["valkey", "valkey_url"]


@pytest.fixture(params=["memory", "redis"])
def idle_bus(request: pytest.FixtureRequest) -> Bus:
    """A bus that has not been started."""
    if request.param == "memory":
        return MemoryBus(SystemClock())
    return RedisBus(request.getfixturevalue("valkey_url"), SystemClock(), random.Random(1))


@pytest.fixture
async def bus(idle_bus: Bus) -> AsyncIterator[Bus]:
    """A started bus, stopped afterwards."""
    await idle_bus.start()
    yield idle_bus
    await idle_bus.stop()


@pytest.fixture
def channel() -> str:
    """A channel name of one's own: the Redis server is shared by the session."""
    return f"tidewire:test:{uuid.uuid4().hex}"
