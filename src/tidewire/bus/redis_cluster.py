"""The bus over a Redis cluster: sharded pub/sub, one ``RedisBus`` per shard, each channel on the shard that owns it.

A channel whose slot moves is followed there and reported as a gap once it is confirmed; what was published to its old
place meanwhile is lost and counted, not sent after it, so that the order holds. A shard that is away takes its own
channels with it and no others. It must not know what payloads mean.
Source: docs/decisions/0014; Redis manual, "SSUBSCRIBE", "SPUBLISH"; Redis cluster specification, "MOVED redirection".
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tidewire.bus.base import (
    BusState,
    BusStatus,
    GapNotice,
    Receive,
    ShardStatus,
    StateNotice,
    Subscription,
    Watch,
)
from tidewire.bus.cluster_map import Node
from tidewire.bus.fanout import Fanout, Listener, Watches
from tidewire.bus.redis import RedisBus
from tidewire.bus.redis_shards import RedisShards
from tidewire.bus.redis_topology import RedisTopology
from tidewire.bus.room_log import LogStatus
from tidewire.bus.wire import SHARDED, BrokerLimits
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError

# A channel that moves while one waits for it is followed this often.
_HOPS = 5
_COUNTERS = ("published", "refused", "reconnects", "lost", "unconfirmed", "gaps")


class _Route(NamedTuple):
    node: Node
    source: Subscription


class RedisClusterBus:
    """Implements bus.base.Bus.

    Args:
        topology: Shared with the room log.
        rng: Draws the jitter.
        limits: Deadlines and bounds, for each shard.
    """

    def __init__(
        self, topology: RedisTopology, clock: Clock, rng: random.Random, *, limits: BrokerLimits | None = None
    ) -> None:
        self._topology = topology
        self._clock = clock
        self._rng = rng
        self._limits = limits
        self._shards: RedisShards[RedisBus] = RedisShards(
            topology, clock, self._make, down=lambda bus: bus.status().state == "down", counters=_counted
        )
        self._fanout = Fanout(clock, on_unused=self._unused)
        self._routes: dict[str, _Route] = {}
        self._gaps: Watches[[str]] = Watches("gap")
        self._states: Watches[[BusStatus]] = Watches("state")
        self._refused = 0
        self._since = clock.time()
        self._was: BusState = "down"
        topology.changed.add(self._reroute)

    # ---- life

    async def start(self) -> None:
        """Connect to every shard that answers. Raises BusError if none does, SettingsError if it is no cluster."""
        await self._shards.start()
        self._reroute()
        self._changed()

    async def stop(self) -> None:
        """Flush and disconnect every shard. Idempotent."""
        await self._shards.stop()
        self._changed()

    def _make(self, node: Node) -> RedisBus:
        bus = RedisBus(
            self._topology.address(node),
            self._clock,
            self._rng,
            limits=self._limits,
            dialect=SHARDED,
            moved=lambda words: self._topology.moved(words, node),
        )
        bus.on_gap(self._gaps.tell)
        bus.on_state(self._shard_changed)
        return bus

    # ---- use

    def publish(self, channel: str, payloads: Sequence[bytes]) -> None:
        """Put ``payloads`` into the outbox of the channel's shard. Raises BusError."""
        shard = self._shards.of(channel) if self._shards.running else None
        if shard is None:
            self._refused += len(payloads)
            raise _unowned(channel)
        shard.publish(channel, payloads)

    def subscribe(self, channel: str, receive: Receive) -> ClusterSubscription:
        """Call ``receive`` for later messages of ``channel``; await ``ready()`` where the very next one matters."""
        listener = self._fanout.add(channel, receive)
        if channel not in self._routes:
            self._route(channel, again=False)
        return ClusterSubscription(self, listener)

    def on_gap(self, notify: GapNotice) -> Watch:
        """Call ``notify`` with a channel each time messages on it may have been missed."""
        return self._gaps.add(notify)

    def on_state(self, notify: StateNotice) -> Watch:
        """Call ``notify`` on every change of state of any shard."""
        return self._states.add(notify)

    def reaches(self, channel: str) -> bool:
        """Whether the channel's shard takes messages now."""
        shard = self._shards.of(channel) if self._shards.running else None
        return shard is not None and shard.reaches(channel)

    async def ping(self) -> float:
        """Return the longest round trip of the shards that answer, milliseconds. Raises BusError if none does."""
        answers = await asyncio.gather(*(bus.ping() for bus in self._shards.all().values()), return_exceptions=True)
        times = [answer for answer in answers if isinstance(answer, float)]
        if not times:
            raise next((answer for answer in answers if isinstance(answer, BusError)), _unowned("any channel"))
        return max(times)

    def status(self) -> BusStatus:
        """Return the state of the whole (``degraded`` while some shards are away) and of each shard."""
        each = {node: bus.status() for node, bus in sorted(self._shards.all().items())}
        shards = shard_statuses(each)
        state, reason = summary(shards)
        sums = self._shards.sums()
        rtts = [status.rtt_ms for status in each.values() if status.rtt_ms is not None]
        return BusStatus(
            kind="redis",
            state=state,
            since=self._since,
            reason=reason,
            published=sums["published"],
            delivered=self._fanout.delivered,
            refused=self._refused + sums["refused"],
            callback_errors=self._fanout.callback_errors,
            reconnects=sums["reconnects"],
            outbox_messages=sum(status.outbox_messages for status in each.values()),
            outbox_bytes=sum(status.outbox_bytes for status in each.values()),
            lost=sums["lost"],
            unconfirmed=sums["unconfirmed"],
            gaps=sums["gaps"],
            rtt_ms=max(rtts, default=None),
            endpoint=",".join(map(str, each)),
            shards=shards,
        )

    async def confirmed(self, channel: str) -> None:
        """Return once the channel's shard, wherever it is by then, has confirmed it. Raises BusError."""
        for hop in range(_HOPS):
            route = self._routes.get(channel)
            if route is None:
                raise _unowned(channel)
            try:
                await route.source.ready()
            except BusError:
                # It was refused here because it is elsewhere by now: ask there. Anything else is an answer.
                if self._routes.get(channel) is route or hop == _HOPS - 1:
                    raise
            else:
                if self._routes.get(channel) is route:
                    return

    # ---- routes

    def _route(self, channel: str, *, again: bool) -> None:
        node = self._topology.owner(channel)
        if node is None:
            return
        before = self._routes.get(channel)
        source = self._shards.at(node).subscribe(channel, self._fanout.deliver, again=again)
        self._routes[channel] = _Route(node, source)
        if before is not None:
            before.source.close()

    def _reroute(self) -> None:
        """Follow the channels that are elsewhere now; their first confirmation there is told as a gap."""
        moved = False
        for channel in self._fanout.channels():
            route = self._routes.get(channel)
            if route is None or route.node != self._topology.owner(channel):
                self._route(channel, again=route is not None)
                moved = True
        if moved and self._shards.running:
            self._states.tell(self.status())

    def _unused(self, channel: str) -> None:
        route = self._routes.pop(channel, None)
        if route is not None:
            route.source.close()

    # ---- state

    def _shard_changed(self, status: BusStatus) -> None:
        if status.state == "down" and self._shards.running:
            self._topology.hurry()
        self._changed()

    def _changed(self) -> None:
        status = self.status()
        if status.state != self._was:
            self._was, self._since = status.state, self._clock.time()
        self._states.tell(self.status())


class ClusterSubscription:
    """One callback on one channel."""

    def __init__(self, bus: RedisClusterBus, listener: Listener) -> None:
        self._bus = bus
        self._listener = listener

    def close(self) -> None:
        """Stop deliveries at once. Idempotent."""
        self._listener.close()

    async def ready(self) -> None:
        """Return once the channel is confirmed. Raises BusError."""
        if self._listener.open:
            await self._bus.confirmed(self._listener.channel)


def shard_statuses(each: Mapping[Node, BusStatus] | Mapping[Node, LogStatus]) -> tuple[ShardStatus, ...]:
    """Return what is shown of every shard."""
    return tuple(
        ShardStatus(endpoint=str(node), state=status.state, since=status.since, reason=status.reason)
        for node, status in each.items()
    )


def summary(shards: Sequence[ShardStatus]) -> tuple[BusState, str]:
    """Return the state of the whole, and why: ``down`` only if every shard is, ``up`` only if every shard is."""
    bad = [shard for shard in shards if shard.state != "up"]
    if not shards:
        return "down", "no shard is known"
    if not bad:
        return "up", ""
    down = [shard for shard in bad if shard.state == "down"]
    reason = "; ".join(f"shard {shard.endpoint} {shard.state}: {shard.reason}" for shard in down or bad)
    return ("down" if len(down) == len(shards) else "degraded"), reason


def _counted(bus: RedisBus) -> Mapping[str, int]:
    status = bus.status()
    return {name: getattr(status, name) for name in _COUNTERS}


def _unowned(channel: str) -> BusError:
    return BusError(
        f"No shard of the Redis cluster is known to have {channel}.",
        required_action="Check the cluster (CLUSTER INFO); Tidewire asks it again every second.",
        will_not="The messages are not kept or sent later.",
    )
