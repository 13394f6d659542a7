"""Nodes with analytics over one database and one in-process bus, whose counting is done step by step; and a page.

Every part is the product's; only the clients' network is missing, and time is moved by hand. With a real broker each
node has a bus of its own, and counts by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.hub_server import Doorman, principal
from tests.support.nodes import QUICK, NodeClient, watched_client
from tests.support.quote_stage import LaterClock
from tidewire.accounts.model import Role
from tidewire.accounts.permissions import DEFAULTS
from tidewire.analytics import rules
from tidewire.analytics.figures import applied
from tidewire.app.analytics_side import AnalyticsSide
from tidewire.bus.base import Bus
from tidewire.bus.memory import MemoryBus
from tidewire.bus.redis import RedisBus
from tidewire.hub.hub import Hub
from tidewire.hub.lifecycle import Timing
from tidewire.hub.switchboard import HubOptions
from tidewire.store.database import Database


@dataclass(eq=False)
class AnalyticsNode:
    """One hub with analytics."""

    hub: Hub
    side: AnalyticsSide
    doorman: Doorman
    bus: Bus

    def connect(self, user_id: int) -> NodeClient:
        """Connect a moderator (3), or a user with ``analytics:read`` and no premiums (4), or without it (1)."""
        return watched_client(self.hub, f"t-{user_id}")


class HandMovedClock(LaterClock):
    """Wall time goes on; what pauses and deadlines are told by stands still unless it is moved.

    The next count comes after five times as long as the last one took, which on a busy machine is any time.
    """

    def monotonic(self) -> float:
        """Return how far it has been moved, in seconds, from an hour on."""
        return 3_600.0 + self.ahead_s


class AnalyticsStage:
    """See the module's text."""

    def __init__(self, database: Database, nodes: int = 2, broker: str | None = None) -> None:
        self.clock = HandMovedClock() if broker is None else LaterClock()
        self.database = database
        self.bus = MemoryBus(self.clock)
        self.nodes = [self._make(number, broker) for number in range(nodes)]

    def _make(self, number: int, broker: str | None) -> AnalyticsNode:
        bus = self.bus if broker is None else RedisBus(broker, self.clock, random.Random(number), limits=QUICK)
        doorman = Doorman()
        reader = DEFAULTS[Role.USER] | {"analytics:read"}
        for user_id, role, permissions in (
            (1, Role.USER, DEFAULTS[Role.USER]),
            (3, Role.MODERATOR, DEFAULTS[Role.MODERATOR]),
            (4, Role.USER, reader),
        ):
            doorman.known[f"t-{user_id}"] = principal(user_id, role, permissions=permissions)
        hub = Hub(
            clock=self.clock,
            scheduler=asyncio.get_running_loop(),
            authenticate=doorman,
            rules={rules.FAMILY: rules.RULES},
            options=HubOptions(messages_per_second=1e6, burst=1e6, timing=Timing(heartbeat_s=1e6)),
        )
        side = AnalyticsSide(hub, bus, self.database, self.clock, node=f"n{number}")
        return AnalyticsNode(hub, side, doorman, bus)

    async def turn(self, seconds: float = 0.0) -> None:
        """Let time pass, then let each node look once, in order."""
        self.clock.ahead_s += seconds
        for node in self.nodes:
            await node.side.views.step()

    @property
    def counted(self) -> int:
        """How often any node has counted."""
        return sum(node.side.views.counts["counted"] for node in self.nodes)


@contextlib.asynccontextmanager
async def analytics_stage(
    database: Database, nodes: int = 2, broker: str | None = None
) -> AsyncIterator[AnalyticsStage]:
    """Yield started nodes over a started database; ``broker``: the URL of a Redis or Valkey."""
    stage = AnalyticsStage(database, nodes, broker)
    for bus in {id(node.bus): node.bus for node in stage.nodes}.values():
        await bus.start()
    for node in stage.nodes:
        await node.hub.start()
        node.side.news.start()
        node.side.views.start()
        # Steps are taken by hand: time that is moved while a view is counted would make that count a very long one.
        await node.side.views.rounds.loop.stop()
    try:
        yield stage
    finally:
        for node in stage.nodes:
            await node.side.stop()
            await node.hub.stop()
        for node in stage.nodes:
            await node.bus.stop()


@dataclass
class DashboardPage:
    """What a page makes of the messages: the snapshot, and each changed part in its place."""

    room_id: str
    parts: dict[str, Any] = field(default_factory=dict)
    as_of: float = 0.0
    place: tuple[str, int] | None = None
    snapshots: int = 0
    changes: int = 0

    def receive(self, message: Mapping[str, Any]) -> None:
        """Take one message."""
        if message["type"] != "analytics_update" or message["room_id"] != self.room_id:
            return
        named = message.get("includes") if message["complete"] else message
        place = None if named is None or "epoch" not in named else (named["epoch"], named["offset"])
        if message["complete"]:
            self.parts, self.place = dict(message["parts"]), place
            self.snapshots += 1
        elif self.place is not None and place is not None and place[0] == self.place[0] and place[1] <= self.place[1]:
            return
        else:
            self.parts = applied(self.parts, message["parts"])
            self.changes += 1
        self.as_of = message["as_of"]
