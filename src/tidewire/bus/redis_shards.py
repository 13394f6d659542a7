"""One thing per shard of a Redis cluster (a bus, a room log): made, started, replaced as the cluster changes.

A shard that does not answer holds nobody up: it is tried again every ``RETRY_S``, and the map is asked for meanwhile,
because its slots may have gone to another server. It must not know what the things do.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Generic, Protocol, TypeVar

import structlog

from tidewire.bus.base import Watch
from tidewire.bus.cluster_map import Node
from tidewire.bus.redis_topology import RedisTopology
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, SettingsError
from tidewire.core.throttle import Throttle

RETRY_S = 1.0


class Startable(Protocol):
    """What there is one of per shard. A failed start leaves nothing running."""

    async def start(self) -> None:
        """Connect. Raises BusError or SettingsError."""
        ...

    async def stop(self) -> None:
        """Disconnect. Idempotent."""
        ...


S = TypeVar("S", bound=Startable)


class RedisShards(Generic[S]):
    """See the module's text.

    Args:
        make: Returns the thing of one server, not started.
        down: Whether a thing wishes for a newer map.
        counters: What a thing has counted, so that a replaced one's counts stay in the sums.
    """

    def __init__(
        self,
        topology: RedisTopology,
        clock: Clock,
        make: Callable[[Node], S],
        *,
        down: Callable[[S], bool],
        counters: Callable[[S], Mapping[str, int]],
    ) -> None:
        self.topology = topology
        self._clock = clock
        self._make = make
        self._counters = counters
        self._things: dict[Node, S] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starters: dict[Node, asyncio.Task[None]] = {}
        self._watch: Watch | None = None
        self._past: Counter[str] = Counter()
        self._throttle = Throttle()
        self._log = structlog.get_logger(__name__)
        topology.troubled.append(lambda: self.running and any(map(down, self._things.values())))

    @property
    def running(self) -> bool:
        """Whether it is between start() and stop()."""
        return self._watch is not None

    async def start(self) -> None:
        """Start every shard. Raises SettingsError if one must not be used, BusError if none can be; then none runs."""
        if self.running:
            return
        await self.topology.start()
        self._watch = self.topology.changed.add(self._adopt)
        nodes = sorted(self.topology.owners())
        things = [self.at(node, start=False) for node in nodes]
        failures = await asyncio.gather(*(thing.start() for thing in things), return_exceptions=True)
        fatal = [failure for failure in failures if failure is not None and not isinstance(failure, BusError)]
        if fatal or all(failure is not None for failure in failures):
            await self.stop()
            raise next(iter(fatal or [failure for failure in failures if failure is not None]), _nobody())
        for node, failure in zip(nodes, failures, strict=True):
            if failure is not None:
                self._start_soon(node)

    async def stop(self) -> None:
        """Stop everything. Idempotent."""
        if self._watch is None:
            return
        self._watch.close()
        self._watch = None
        tasks, self._tasks = self._tasks, set()
        self._starters.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(thing.stop() for thing in self._things.values()))
        await self.topology.stop()

    def at(self, node: Node, *, start: bool = True) -> S:
        """Return the thing of a server; a new one is started by and by."""
        thing = self._things.get(node)
        if thing is None:
            thing = self._things[node] = self._make(node)
            if start and self.running:
                self._start_soon(node)
        return thing

    def of(self, name: str | bytes) -> S | None:
        """Return the thing of the shard that has a key or channel; None if nobody is known to have it."""
        node = self.topology.owner(name)
        return None if node is None else self._things.get(node) or self.at(node)

    def all(self) -> Mapping[Node, S]:
        """Return every thing by its server."""
        return self._things

    def sums(self) -> Counter[str]:
        """Return the counters of all, replaced ones included."""
        total = Counter(self._past)
        for thing in self._things.values():
            total.update(self._counters(thing))
        return total

    # ---- inside

    def _adopt(self) -> None:
        owners = self.topology.owners()
        for node in owners:
            self.at(node)
        for node in [known for known in self._things if known not in owners]:
            thing = self._things.pop(node)
            self._past.update(self._counters(thing))
            self._spawn(self._retire(thing, self._starters.pop(node, None)))

    def _start_soon(self, node: Node) -> None:
        self._starters[node] = self._spawn(self._keep_starting(node, self._things[node]))

    async def _keep_starting(self, node: Node, thing: S) -> None:
        while True:
            try:
                await thing.start()
            except (BusError, SettingsError) as error:
                self.topology.hurry()
                count = self._throttle.admit(self._clock.monotonic())
                if count:
                    self._log.error("redis_shard_unusable", shard=str(node), attempts=count, **error.describe())
            else:
                return
            await self._clock.sleep(RETRY_S)

    async def _retire(self, thing: S, starter: asyncio.Task[None] | None) -> None:
        # Whoever moves away from it says so first: not in the middle of that.
        await asyncio.sleep(0)
        if starter is not None:
            starter.cancel()
            await asyncio.wait([starter])
        await thing.stop()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = background(work, "redis-shard")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _nobody() -> BusError:
    return BusError(
        "The Redis cluster has given no slot to any server.",
        required_action="Create the cluster (valkey-cli --cluster create), then start again.",
        will_not="Tidewire does not keep rooms where they cannot be found again.",
    )
