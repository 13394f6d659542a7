"""The alerts of a running process, judged by a clock that a test moves: real metrics, hub, bus and database."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.support.clock import HandClock
from tests.support.platform import Served
from tidewire.alerts.book import Book
from tidewire.alerts.evaluator import JUDGE_EVERY_S, Evaluator
from tidewire.alerts.keeper import Keeper
from tidewire.alerts.wire import AlertShown
from tidewire.core.feed_status import FEED_STATUS_CHANNEL, FeedStatus
from tidewire.store.alert_records import AlertRecord

# A Wednesday, 12:00 in New York.
NOON = 1_705_510_800.0
ALERTS = "/api/v1/admin/alerts"


class Judge:
    """The judging of one process; ``step`` lets one round's time pass."""

    def __init__(self, site: Served, start: float = NOON) -> None:
        self.site = site
        self.side = site.web.alerts
        self.clock = HandClock(start)

    async def take_over(self) -> Judge:
        """Stop the process's own rounds, and give everything that judges this clock."""
        side = self.side
        for job in side._jobs:
            await job.stop()
        # A round that was over before wrote by the real clock.
        side.evaluator.book.clear()
        sampler = self.site.web.vitals.sampler
        await sampler.stop()
        for part in (side.evaluator, side.keeper, side.desk, sampler):
            part._clock = self.clock  # type: ignore[attr-defined]
        # The newest reading must not be from the future of this clock.
        sampler._last_at = float("-inf")
        side.herald._now = self.clock.time
        side.herald.board, side.herald.heard_at = None, self.clock.time()
        return self

    async def step(self, rounds: int = 1, after: float = JUDGE_EVERY_S) -> None:
        """Let time pass, judge, and keep, so many times."""
        for _ in range(rounds):
            self.clock.jump(after)
            await self.side.evaluator.step()
            await self.side.keeper.step()

    def restart(self) -> None:
        """Let another life of the process judge, on the same database: it remembers nothing but the rules."""
        side, old = self.side, self.side.evaluator
        book = side.book = Book("other", lambda: "a-new")
        side.evaluator = Evaluator(
            old._source, side.herald, old._bus, self.clock, book, fence=lambda: 0, node="other", instance="other",
            rulebook=old.rulebook,
        )  # fmt: skip
        side.keeper = Keeper(side.keeper._alerts, side.evaluator, self.clock)

    def feed(self, status: FeedStatus) -> None:
        """Publish a status as the feed does."""
        self.site.platform.bus.publish(FEED_STATUS_CHANNEL, [msgspec.json.encode(status)])

    def open(self) -> dict[str, AlertRecord]:
        """Return what is open, by rule and group."""
        return {f"{key} {group}".strip(): each for (key, group), each in self.side.book.open.items()}

    def state(self, key: str) -> str:
        """Return how a rule is, as all nodes are told."""
        board = self.side.herald.board
        assert board is not None
        return next(rule.state for rule in board.rules if rule.key == key)

    async def listed(self, username: str = "ada", **parameters: Any) -> list[AlertShown]:
        """Return what the API lists."""
        async with self.site.http(username) as http:
            answer = await http.get(ALERTS, params=parameters)
        assert answer.status_code == 200, answer.text
        return msgspec.convert(answer.json()["alerts"], list[AlertShown])
