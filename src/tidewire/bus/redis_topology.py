"""Keeps the map of a Redis cluster: asks its servers who owns which slot, again when one says that it has moved.

It must not know what is kept there. Every question has a deadline, servers are asked one after the other until one
answers, and questions follow each other at least ``REFRESH_GAP_S`` apart, however many redirections come in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from tidewire.bus.address import Address, parse_address
from tidewire.bus.cluster_map import ClusterMap, Node, redirect, slot_of
from tidewire.bus.fanout import Watches
from tidewire.bus.redis_wire import RedisWire, words
from tidewire.bus.wire import BrokerLimits, Refusal, encode_command, wait_at_most
from tidewire.core.background import background
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError, SettingsError
from tidewire.core.throttle import Throttle

# A failover takes seconds; a slot that moves says so by itself.
REFRESH_EVERY_S = 5.0
# While a server is missing or has redirected, at most this often.
REFRESH_GAP_S = 0.5


class RedisTopology:
    """See the module's text. Shared by the bus and the room log; runs from the first ``start`` to the last ``stop``.

    Args:
        url: Of any server of the cluster, or of several (bus/address.py).
        refresh_every_s: How often the map is fetched while nobody complains.

    Attributes:
        changed: Notice: an owner is another now.
        troubled: Functions that say whether a newer map is wished for.

    Raises:
        SettingsError: The URL cannot be read, or names what a cluster does not have.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        limits: BrokerLimits | None = None,
        refresh_every_s: float = REFRESH_EVERY_S,
    ) -> None:
        self._seed = parse_address(url)
        if self._seed.scheme == "unix" or self._seed.db:
            raise _wrong("A Redis cluster is reached over TCP and has only database 0.")
        self._limits = limits or BrokerLimits()
        self._clock = clock
        self._refresh_every_s = refresh_every_s
        self._map = ClusterMap()
        self._users = 0
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._throttle = Throttle()
        self.changed: Watches[[]] = Watches("topology")
        self.troubled: list[Callable[[], bool]] = []
        self.refreshes = 0
        self.failures = 0
        self._log = structlog.get_logger(__name__)

    async def start(self) -> None:
        """Fetch the map and keep it. Raises BusError if no server answers; SettingsError if it is no cluster."""
        async with self._lock:
            if self._task is None:
                await self._refresh()
                self._task = background(self._keep(), "redis-topology")
            self._users += 1

    async def stop(self) -> None:
        """End with the last user."""
        async with self._lock:
            self._users = max(0, self._users - 1)
            task = self._task
            if self._users == 0 and task is not None:
                self._task = None
                task.cancel()
                await asyncio.wait([task])

    def owner(self, name: str | bytes) -> Node | None:
        """Return who has a key or channel; None if nobody is known to."""
        return self._map.owner(slot_of(name.encode() if isinstance(name, str) else name))

    def owners(self) -> set[Node]:
        """Return every server that has a slot."""
        return self._map.owners()

    def address(self, node: Node) -> Address:
        """Return how to reach a server."""
        return self._seed.at(node.host, node.port)

    def moved(self, refusal: str, asked: Node) -> None:
        """Take a ``MOVED``: note it at once, and fetch the rest of the map soon."""
        where = redirect(refusal, asked)
        self.hurry()
        if where is not None and where.node is not None and self._map.moved(where.slot, where.node):
            self._log.info("redis_slot_moved", slot=where.slot, to=str(where.node))
            self.changed.tell()

    def hurry(self) -> None:
        """Fetch a newer map soon."""
        self._wake.set()

    # ---- inside

    async def _keep(self) -> None:
        troubled, turn = False, 0
        while True:
            await wait_at_most(self._wake, REFRESH_GAP_S if troubled else self._refresh_every_s)
            self._wake.clear()
            try:
                await self._refresh(turn)
            except (BusError, SettingsError) as error:
                self.failures += 1
                count = self._throttle.admit(self._clock.monotonic())
                if count:
                    self._log.warning("redis_topology_unknown", attempts=count, **error.describe())
            await self._clock.sleep(REFRESH_GAP_S)
            troubled = any(troubled() for troubled in self.troubled)
            turn = turn + 1 if troubled else 0

    async def _refresh(self, turn: int = 0) -> None:
        """Ask one server after the other until one answers. Raises BusError or SettingsError.

        Args:
            turn: Whom to ask first: while something is amiss somebody else each time, because a server that is cut off
                from the others does not know who has taken over its slots.
        """
        cause: BaseException | None = None
        seeds = [Node(self._seed.host, self._seed.port), *(Node(*seed) for seed in self._seed.seeds)]
        known = list(dict.fromkeys((*self._map.nodes, *seeds)))
        first = turn % len(known)
        for node in known[first:] + known[:first]:
            try:
                async with asyncio.timeout(self._limits.connect_timeout_s):
                    answer = await self._fetch(node)
                changed = self._map.replace(answer, node)
            except Refusal as refusal:
                if "cluster support disabled" in str(refusal):
                    raise _wrong(f"The server at {node} is not in a cluster.") from refusal
                cause = refusal
            except (RedisError, OSError, ValueError) as error:
                cause = error
            else:
                self.refreshes += 1
                if changed:
                    self._log.info("redis_topology", shards=len(self._map.owners()))
                    self.changed.tell()
                return
        raise BusError(
            f"No server of the Redis cluster says who has which slot; the last one tried: {words(cause)}.",
            required_action="Check the cluster (CLUSTER INFO), the address, and the permission +cluster|slots.",
            will_not="Tidewire goes on with the map it has, if it has one; it does not guess another.",
        )

    async def _fetch(self, node: Node) -> object:
        wire = RedisWire(self.address(node), self._limits)
        try:
            await wire.connect()
            await wire.write(encode_command(b"CLUSTER", b"SLOTS"))
            return await wire.read()
        finally:
            await wire.discard()


def _wrong(what: str) -> SettingsError:
    return SettingsError(
        what,
        required_action="Remove TIDEWIRE_REDIS_CLUSTER, or set TIDEWIRE_REDIS_URL to redis://host:port of the cluster.",
        will_not="Tidewire does not guess which of the two is meant.",
    )
