"""What a process has on the broker, by its settings: bus, room log and lease, on one server or on a cluster.

It must not know what goes over them.
"""

from __future__ import annotations

import random

from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_cluster import RedisClusterBus
from tidewire.bus.redis_cluster_log import RedisClusterLog
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_members import Commands, RedisMembers
from tidewire.bus.redis_topology import RedisTopology
from tidewire.bus.redis_user_counts import RedisUserCounts
from tidewire.bus.room_log import RoomLog
from tidewire.core.clock import Clock
from tidewire.hub.links import Links
from tidewire.settings import Settings
from tidewire.web.health import Passed


class Broker:
    """See the module's text. Nothing is connected yet.

    Raises:
        SettingsError: The URL cannot be read, or does not fit the other settings.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        url = settings.redis_url
        self._topology = RedisTopology(url, clock) if url is not None and settings.redis_cluster else None
        # Chance spreads retries of several processes in time; it guards no secret.
        self.bus: Bus
        if url is None:
            self.bus = MemoryBus(clock)
        elif self._topology is not None:
            self.bus = RedisClusterBus(self._topology, clock, random.Random())  # noqa: S311
        else:
            self.bus = RedisBus(url, clock, random.Random())  # noqa: S311

    def links(self, bus: Bus) -> Links | None:
        """Return what rooms of several processes need; None if this process is alone: its rooms remember themselves.

        Args:
            bus: This broker's, possibly wrapped.
        """
        url, clock = self._settings.redis_url, self._clock
        if url is None:
            return None
        chance = random.Random()  # noqa: S311
        copies = self._settings.redis_min_replicas
        if self._topology is not None:
            shared = RedisClusterLog(self._topology, clock, chance, min_replicas=copies)
            return self._linked(bus, shared, shared.commands)
        log = RedisRoomLog(url, clock, chance, min_replicas=copies)
        return self._linked(bus, log, log.commands)

    def _linked(self, bus: Bus, log: RoomLog, commands: Commands) -> Links:
        return Links(bus, log, RedisMembers(commands), self._settings.node_name, RedisUserCounts(commands))


async def bus_ready(bus: Bus) -> Passed:
    """Pass while the bus takes messages; with shards, say which of them do not. Raises BusError."""
    latency_ms, status = await bus.ping(), bus.status()
    return Passed(latency_ms, status.reason if status.shards else "")
