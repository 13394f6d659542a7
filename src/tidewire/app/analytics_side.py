"""Analytics' part of the web side: what is counted and timed, who is told. It must not hold logic of its own."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from tidewire.analytics.conversation import Conversation
from tidewire.analytics.counting import Counting
from tidewire.analytics.news import News
from tidewire.analytics.recorder import FLUSH_EVERY_S, PURGE_EVERY_S, Recorder
from tidewire.analytics.rules import Choices
from tidewire.analytics.views import Views
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.hub import Hub
from tidewire.quotes.editing import STATUS
from tidewire.quotes.model import PRODUCTS, STATES, Status
from tidewire.quotes.news import CHANNEL as QUOTES_CHANGED
from tidewire.store.analytics import Analytics
from tidewire.store.calculation_record import CalculationRecord
from tidewire.store.database import Database
from tidewire.store.quote_records import Outcome
from tidewire.store.timings import Timings

API = "/api/"
# Operators' pages ask these every few seconds. Watching is not use: counted here it would be most of what is counted.
OPERATORS = ("/api/v1/admin/", "/api/admin/")


class AnalyticsSide:
    """Everything of analytics that lives and dies with a hub. Make it before the hub starts.

    Args:
        background: The database for whoever can wait.
        node: This node's name, as people see it.
    """

    def __init__(self, hub: Hub, bus: Bus, background: Database, clock: Clock, *, node: str) -> None:
        self._clock = clock
        choices = Choices(STATES, PRODUCTS)
        count = Counting(Analytics(background)).count
        self.views = Views(hub, bus, clock, choices, count, secrets.token_hex(8))
        self.news = News(
            bus, hub.features, clock, choices, node=node, quotes_changed=QUOTES_CHANGED, mark=self.views.mark
        )
        self.recorder = Recorder(Timings(background), clock, node=node, written=self.news.written)
        self.conversation = Conversation(self.views, hub, clock, choices)
        hub.features.add(self.conversation.commands())
        self._jobs = [
            WatchedLoop("analytics-timings", FLUSH_EVERY_S, self.recorder.flush, clock),
            WatchedLoop("analytics-purge", PURGE_EVERY_S, self.recorder.purge, clock),
        ]

    def start(self) -> None:
        """Listen, count and write."""
        self.news.start()
        self.views.start()
        for job in self._jobs:
            job.start()

    async def stop(self) -> None:
        """End all of it, with what has been timed written. Idempotent."""
        for job in self._jobs:
            await job.stop()
        await self.views.stop()
        self.news.stop()
        await self.recorder.flush()

    def statistics(self) -> Mapping[str, int]:
        """Return counters since start."""
        return {
            **{f"views_{name}": value for name, value in self.views.statistics().items()},
            **{f"events_{name}": value for name, value in self.news.statistics().items()},
            **{f"timings_{name}": value for name, value in self.recorder.statistics().items()},
            **self.conversation.statistics(),
        }

    # ---- what the other parts tell

    def quote_stored(self, outcome: Outcome) -> None:
        """A quote has been made or changed."""
        first, quote = outcome.changes[0], outcome.quote
        where = {"state": str(quote.value("state") or ""), "product": str(quote.value("product") or "")}
        if first.version == 1:
            self.news.tell("quote_created", at=first.at, data={"quote_id": quote.id}, **where)
        for change in outcome.changes:
            if change.field == STATUS and change.after == Status.BOUND:
                took = round(max(0.0, change.at - quote.created_at), 3)
                data: dict[str, Any] = {"quote_id": quote.id, "took_s": took}
                self.news.tell("quote_converted", at=change.at, data=data, **where)

    def calculation_ended(self, record: CalculationRecord) -> None:
        """A calculation has ended, and that has been told."""
        now = self._clock.time()
        took_s = max(0.0, (record.ended_at or now) - record.started_at)
        self.recorder.add("calculation", record.state.value, took_s)
        data: dict[str, Any] = {
            "quote_id": record.quote_id,
            "calculation_id": record.calculation_id,
            "outcome": record.state.value,
            "took_ms": round(took_s * 1000, 1),
        }
        self.news.tell("calculation_complete", at=now, data=data)

    def answered(self, scope: Mapping[str, Any], status: int, took_s: float) -> None:
        """An HTTP request has been answered."""
        if scope["type"] != "http" or not scope["path"].startswith(API) or not status:
            return
        if scope["path"].startswith(OPERATORS):
            return
        self.recorder.add("api", f"{status // 100}xx", took_s)
        # The route, not the path: paths have the numbers of quotes and people in them.
        route = getattr(scope.get("route"), "path", None) or "other"
        data: dict[str, Any] = {
            "method": str(scope.get("method", ""))[:16],
            "route": route,
            "status": status,
            "took_ms": round(took_s * 1000, 1),
        }
        self.news.tell("api_response", at=self._clock.time(), data=data)
