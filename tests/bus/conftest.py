"""Both buses, started, and a channel that nobody else uses."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from tests.support.valkey import valkey, valkey_url
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.redis import RedisBus
from tidewire.bus.wire import BrokerLimits
from tidewire.core.clock import SystemClock

__all__ = ["MakeBus", "valkey", "valkey_url"]

# A crowded machine is slow now and then; only the test about slowness wants to hear of it.
PATIENT = BrokerLimits(slow_ms=20_000.0)
# A quiet connection is asked sooner, and trouble is forgotten within a test's patience.
QUICK = BrokerLimits(
    ping_interval_s=0.1, command_timeout_s=1.0, degraded_s=0.3, flush_timeout_s=1.0, slow_ms=PATIENT.slow_ms
)

# (url, limits) -> a bus that is stopped when the test ends.
MakeBus = Callable[..., RedisBus]


@pytest.fixture(params=["memory", "redis"])
def idle_bus(request: pytest.FixtureRequest) -> Bus:
    """A bus that has not been started."""
    if request.param == "memory":
        return MemoryBus(SystemClock())
    return RedisBus(request.getfixturevalue("valkey_url"), SystemClock(), random.Random(1), limits=PATIENT)


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


@pytest.fixture
async def make_bus() -> AsyncIterator[MakeBus]:
    """A maker of Redis buses with quick limits; not started, but stopped afterwards."""
    made: list[RedisBus] = []

    def make(url: str, limits: BrokerLimits = QUICK) -> RedisBus:
        made.append(RedisBus(url, SystemClock(), random.Random(len(made)), limits=limits))
        return made[-1]

    yield make
    for bus in made:
        await bus.stop()
