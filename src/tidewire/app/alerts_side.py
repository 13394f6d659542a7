"""The alerts' part of the web side: who judges, who writes, what people ask. It must not hold logic of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping

from fastapi import APIRouter

from tidewire.alerts.book import Book
from tidewire.alerts.desk import Desk
from tidewire.alerts.evaluator import JUDGE_EVERY_S, Evaluator, Source
from tidewire.alerts.herald import Herald
from tidewire.alerts.keeper import KEEP_EVERY_S, PURGE_EVERY_S, Keeper
from tidewire.alerts.routes import alert_router
from tidewire.alerts.rule_routes import rule_router
from tidewire.bus.base import Bus
from tidewire.bus.lease import LeaseTiming
from tidewire.bus.lease_keeper import LeaseKeeper
from tidewire.bus.redis_lease import RedisLease
from tidewire.core.clock import Clock
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.hub import Hub
from tidewire.store.alerts import Alerts
from tidewire.store.database import Database

LEASE = "alerts"


class AlertsSide:
    """Everything of alerts that lives and dies with a hub.

    Args:
        requests, background: The database for whoever waits, and for the jobs.
        redis_url: Where the lease is; None: this process is alone, and judges.
        instance: This life of the process, as ``source`` names it.
    """

    def __init__(
        self,
        source: Source,
        hub: Hub,
        bus: Bus,
        requests: Database,
        background: Database,
        clock: Clock,
        *,
        redis_url: str | None,
        node: str,
        instance: str,
    ) -> None:
        self._lease = _lease(redis_url, node, clock)
        self.herald = Herald(bus, hub, clock.time)
        self.book = Book(node, lambda: f"a-{secrets.token_hex(12)}")
        self.evaluator = Evaluator(
            source, self.herald, bus, clock, self.book, fence=self.fence, node=node, instance=instance
        )
        self.keeper = Keeper(Alerts(background), self.evaluator, clock)
        self.desk = Desk(Alerts(requests), self.herald, source, clock)
        self.herald.on_changed(self.keeper.changed)
        self._jobs = [
            WatchedLoop("alerts", JUDGE_EVERY_S, self.evaluator.step, clock),
            WatchedLoop("alerts-keeper", KEEP_EVERY_S, self.keeper.step, clock),
            WatchedLoop("alerts-purge", PURGE_EVERY_S, self.keeper.purge, clock),
        ]

    def fence(self) -> int | None:
        """Return the number with which this node judges: 0 where there is only one, None while it must not."""
        return 0 if self._lease is None else self._lease.fence()

    def routes(self) -> list[APIRouter]:
        """Return the HTTP routes."""
        # First, because its fixed paths look like ids to the next.
        return [rule_router(self.desk), alert_router(self.desk)]

    def start(self) -> None:
        """Begin to listen and to ask for the lease."""
        self.herald.start()
        if self._lease is not None:
            self._lease.start()
        for job in self._jobs:
            job.start()

    async def stop(self) -> None:
        """Stop judging, and write what can be written. Idempotent."""
        for job in self._jobs:
            await job.stop()
        await self.keeper.step()
        if self._lease is not None:
            await self._lease.stop()
        self.herald.stop()

    def statistics(self) -> Mapping[str, float]:
        """Return how it stands, for metrics."""
        failures = 0 if self._lease is None else self._lease.failures
        return {
            **self.evaluator.statistics(),
            **self.herald.statistics(),
            "store_failed": self.keeper.failed,
            "lease_failures": failures,
        }


def _lease(redis_url: str | None, node: str, clock: Clock) -> LeaseKeeper | None:
    if redis_url is None:
        return None
    timing = LeaseTiming()
    owner = f"{node} {os.getpid()} {secrets.token_hex(4)}"
    store = RedisLease(redis_url, owner, ttl_s=timing.ttl_s, name=LEASE)
    loses = "This node judges no alert rules while another does."
    return LeaseKeeper(store, clock, lambda: None, timing=timing, name=LEASE, loses=loses)
