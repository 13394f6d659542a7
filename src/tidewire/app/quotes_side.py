"""The quotes' part of the web side: their desk, messages, jobs and routes. It must not hold logic of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter

from tidewire.accounts.http import Callers
from tidewire.bus.base import Bus
from tidewire.core.clock import Clock
from tidewire.core.watched_loop import WatchedLoop
from tidewire.hub.hub import Hub
from tidewire.quotes.attention import Attention
from tidewire.quotes.calculation import Calculator
from tidewire.quotes.calculation_routes import CalculationsApi
from tidewire.quotes.conversation import Conversation
from tidewire.quotes.desk import Desk
from tidewire.quotes.editing import index_of
from tidewire.quotes.ending import SWEEP_EVERY_S, Ending
from tidewire.quotes.job import EXPIRE_EVERY_S, HEAL_EVERY_S, Expiry, Healing
from tidewire.quotes.news import ListNews
from tidewire.quotes.pace import WritePace
from tidewire.quotes.plan import Plan
from tidewire.quotes.routes import QuotesApi
from tidewire.store.calculation_record import CalculationRecord
from tidewire.store.calculations import Calculations
from tidewire.store.database import Database
from tidewire.store.quote_records import Outcome
from tidewire.store.quotes import Quotes


class QuotesSide:
    """Everything of quotes that lives and dies with a hub. Make it before the hub starts.

    Args:
        requests, background: The database for whoever waits, and for the jobs.
        plans: Product -> rating plan.
        node: This node's name, as people see it.
        stored, ended: Told what becomes of quotes, and of calculations; must not block.
    """

    def __init__(
        self,
        hub: Hub,
        bus: Bus,
        requests: Database,
        background: Database,
        callers: Callers,
        clock: Clock,
        *,
        plans: Mapping[str, Plan],
        node: str,
        stored: Callable[[Outcome], None] = lambda _: None,
        ended: Callable[[CalculationRecord], None] = lambda _: None,
    ) -> None:
        self.news = ListNews(bus, hub.features, clock)

        def noted(outcome: Outcome) -> None:
            self.news.note()
            stored(outcome)

        self.desk = Desk(Quotes(requests, index_of), hub, clock, noted)
        self._aside = aside = Desk(Quotes(background, index_of), hub, clock, noted)
        self.attention = Attention(bus, hub.features, clock)
        self.conversation = Conversation(self.desk, self.attention, hub, clock)
        self.pace = WritePace(clock)
        self.api = QuotesApi(self.desk, callers, self.pace, clock)
        calculations = Calculations(requests)
        self.ending = Ending(calculations, hub, clock, ended)
        self.sweeper = Ending(Calculations(background), hub, clock, ended)
        self.calculator = Calculator(calculations, self.desk, self.ending, plans, clock, node=node)
        self.calculations = CalculationsApi(self.calculator, callers, self.pace)
        self.expiry = Expiry(aside, clock)
        self.healing = Healing(aside, hub, clock)
        hub.features.add(self.conversation.commands())
        self._jobs = [
            WatchedLoop("quotes-expiry", EXPIRE_EVERY_S, self.expiry.run, clock),
            WatchedLoop("quotes-healing", HEAL_EVERY_S, self.healing.step, clock),
            WatchedLoop("quotes-calculations", SWEEP_EVERY_S, self.sweeper.sweep, clock),
        ]

    def routes(self) -> list[APIRouter]:
        """Return the HTTP routes."""
        return [self.api.router(), self.calculations.router()]

    def start(self) -> None:
        """Begin to listen, expire and compare."""
        self.attention.start()
        self.news.start()
        for job in self._jobs:
            job.start()

    async def stop(self) -> None:
        """End all of it. Idempotent."""
        for job in self._jobs:
            await job.stop()
        await self.calculator.stop()
        await self.attention.stop()
        # The database stops after this: an edit that is under way is stored and answered, or refused.
        for desk in (self.desk, self._aside):
            await desk.quotes.stop()
        await self.news.stop()

    def statistics(self) -> Mapping[str, int]:
        """Return counters since start."""
        return {
            **self.desk.statistics(),
            **self.conversation.statistics(),
            **self.pace.statistics(),
            **{f"edit_{name}": value for name, value in self.desk.quotes.statistics().items()},
            **{f"focus_{name}": value for name, value in self.attention.statistics().items()},
            **{f"news_{name}": value for name, value in self.news.statistics().items()},
            "expired": self.expiry.expired,
            "expiry_failed": self.expiry.failed,
            "healed": self.healing.healed,
            "reminded": self.healing.reminded,
            "healing_failed": self.healing.failed,
            **{f"calculations_{name}": value for name, value in self._calculation_counts().items()},
        }

    def _calculation_counts(self) -> dict[str, int]:
        ended = {name: count + self.sweeper.counts[name] for name, count in self.ending.counts.items()}
        return {**self.calculator.statistics(), **ended}
