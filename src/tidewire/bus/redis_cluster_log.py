"""The room log on a Redis cluster: one ``RedisRoomLog`` per shard, each room on the shard that owns its slot.

Redirections are followed: a refusal means that nothing was done, so asking elsewhere cannot do it twice; a question
whose outcome is unknown is never asked again. A room whose shard is away is refused, the others go on. Another server
process is another ``run_id``, also after a failover or a move of the slot, so the word of each is judged as ever.
It must not know hubs.
Source: docs/decisions/0014; Redis cluster specification, "ASK redirection", "Multi-key operations".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeVar

from tidewire.bus.base import BusState, Watch
from tidewire.bus.cluster_map import Node, redirect
from tidewire.bus.fanout import Watches
from tidewire.bus.redis_cluster import shard_statuses, summary
from tidewire.bus.redis_commands import DEADLINE_S
from tidewire.bus.redis_log import RedisRoomLog
from tidewire.bus.redis_shards import RedisShards
from tidewire.bus.redis_topology import RedisTopology
from tidewire.bus.room_log import Appended, Bounds, Concerns, LogStatus, Place, Reading
from tidewire.bus.wire import BrokerLimits, Refusal
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError

T = TypeVar("T")
_Use = Callable[[RedisRoomLog, bool], Awaitable[object]]
# Redirections of one question: a slot that moves sends at most twice; more means that two servers disagree.
_HOPS = 5
# While a slot is being moved, some of a room's keys are here and some there: asked again until the deadline.
_TRY_AGAIN_S = 0.05
_COUNTERS = ("calls", "refused", "unknown", "connects", "state_losses")


class RedisClusterLog:
    """Implements bus.room_log.RoomLog.

    Args:
        topology: Shared with the bus.
        rng: Draws the jitter of reconnects.
        deadline_s: For each answer, redirections included.
        min_replicas: As for ``RedisRoomLog``.

    Attributes:
        commands: Asks the shard that has the key, for ``RedisMembers``.
    """

    def __init__(
        self,
        topology: RedisTopology,
        clock: Clock,
        rng: random.Random,
        *,
        limits: BrokerLimits | None = None,
        deadline_s: float = DEADLINE_S,
        min_replicas: int = 0,
    ) -> None:
        self._min_replicas = min_replicas
        self._topology = topology
        self._clock = clock
        self._rng = rng
        self._limits = limits
        self._deadline_s = deadline_s
        self._shards: RedisShards[RedisRoomLog] = RedisShards(
            topology, clock, self._make, down=lambda log: log.status().state == "down", counters=_counted
        )
        self._connects: Watches[[Concerns]] = Watches("connect")
        self._states: Watches[[]] = Watches("circuit")
        self._since = clock.time()
        self._was: BusState = "down"
        self._refused = self._redirected = 0
        self.commands = ClusterCommands(self._routed)

    async def start(self) -> None:
        """Connect to every shard that answers. Raises BusError if none does, SettingsError if one must not be used."""
        await self._shards.start()
        self._changed()

    async def stop(self) -> None:
        """Disconnect. Idempotent."""
        await self._shards.stop()

    async def append(
        self, room_id: str, payload: bytes, *, bounds: Bounds, key: str | None = None, known: Place | None = None
    ) -> Appended:
        """Give ``payload`` the room's next place, keep it, and announce it. See bus.room_log.RoomLog."""
        return await self._routed(
            _tagged(room_id),
            lambda log, asking: log.append(room_id, payload, bounds=bounds, key=key, known=known, asking=asking),
        )

    async def read(self, room_id: str, *, bounds: Bounds, since: Place | None = None) -> Reading:
        """Return what came after ``since``, or all that is kept. See bus.room_log.RoomLog."""
        return await self._routed(
            _tagged(room_id), lambda log, asking: log.read(room_id, bounds=bounds, since=since, asking=asking)
        )

    def on_connect(self, notify: Callable[[Concerns], None]) -> Watch:
        """Call ``notify`` after each later connect to a shard; it concerns the rooms of that shard."""
        return self._connects.add(notify)

    def on_state(self, notify: Callable[[], None]) -> Watch:
        """Call ``notify`` whenever a shard's circuit opens or closes."""
        return self._states.add(notify)

    def status(self) -> LogStatus:
        """Return the state of the whole (``degraded`` while some shards are away) and of each shard."""
        each = {node: log.status() for node, log in sorted(self._shards.all().items())}
        shards = shard_statuses(each)
        state, reason = summary(shards)
        sums = self._shards.sums()
        rtts = [status.rtt_ms for status in each.values() if status.rtt_ms is not None]
        return LogStatus(
            state=state,
            circuit=_worst([status.circuit for status in each.values()]),
            since=self._since,
            reason=reason,
            durable=bool(each) and all(status.durable for status in each.values() if status.state == "up"),
            calls=sums["calls"],
            refused=self._refused + sums["refused"],
            unknown=sums["unknown"],
            connects=sums["connects"],
            state_losses=sums["state_losses"],
            redirected=self._redirected,
            in_flight=sum(status.in_flight for status in each.values()),
            rtt_ms=max(rtts, default=None),
            shards=shards,
        )

    # ---- inside

    def _make(self, node: Node) -> RedisRoomLog:
        log = RedisRoomLog(
            self._topology.address(node),
            self._clock,
            self._rng,
            limits=self._limits,
            deadline_s=self._deadline_s,
            sharded=True,
            min_replicas=self._min_replicas,
        )
        log.on_connect(lambda _: self._connects.tell(lambda room_id: self._topology.owner(_tagged(room_id)) == node))
        log.on_state(lambda: self._shard_changed(log))
        return log

    def _shard_changed(self, log: RedisRoomLog) -> None:
        if log.status().state == "down" and self._shards.running:
            self._topology.hurry()
        self._changed()

    def _changed(self) -> None:
        state = self.status().state
        if state != self._was:
            self._was, self._since = state, self._clock.time()
        self._states.tell()

    async def _routed(self, name: bytes, use: Callable[[RedisRoomLog, bool], Awaitable[T]]) -> T:
        """Ask the shard that has ``name``, and where it sends us. Raises BusError."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._deadline_s
        node, asking, hops, last = self._topology.owner(name), False, 0, ""
        while node is not None and hops < _HOPS and self._shards.running:
            try:
                return await use(self._shards.at(node), asking)
            except Refusal as refusal:
                last = str(refusal)
            where = redirect(last, node)
            if where is None:
                raise Refusal(last)
            self._redirected += 1
            if where.kind == "TRYAGAIN":
                if clock() + _TRY_AGAIN_S >= until:
                    break
                await asyncio.sleep(_TRY_AGAIN_S)
                node, asking, hops = self._topology.owner(name), False, 0
                continue
            if where.kind == "MOVED":
                self._topology.moved(last, node)
            node, asking, hops = where.node, where.kind == "ASK", hops + 1
        self._refused += 1
        raise _nowhere(last)


class ClusterCommands:
    """One question to the shard that has its key: the first of EVAL's keys, otherwise the first argument."""

    def __init__(
        self, routed: Callable[[bytes, Callable[[RedisRoomLog, bool], Awaitable[object]]], Awaitable[object]]
    ) -> None:
        self._routed = routed

    async def ask(self, *parts: bytes) -> object:
        """Return the answer. Raises Refusal or BusError."""
        key = parts[3] if parts[0] in (b"EVAL", b"EVALSHA") else parts[1]
        return await self._routed(key, lambda log, asking: log.commands.ask(*parts, asking=asking))


def _tagged(room_id: str) -> bytes:
    """Return a name that is in the slot of the room's keys and channel."""
    return b"{%b}" % room_id.encode()


def _counted(log: RedisRoomLog) -> Mapping[str, int]:
    status = log.status()
    return {name: getattr(status, name) for name in _COUNTERS}


def _worst(circuits: list[Literal["closed", "open", "half_open"]]) -> Literal["closed", "open", "half_open"]:
    for circuit in ("open", "half_open"):
        if circuit in circuits:
            return circuit
    return "closed" if circuits else "open"


def _nowhere(last: str) -> BusError:
    return BusError(
        f"The Redis cluster has nobody to ask for this now: {last[:200] or 'its slot has no owner'}.",
        required_action="Try again later; while a slot is being moved, that may take until it has arrived.",
        will_not="Nothing was done, and nothing is kept for later.",
    )
