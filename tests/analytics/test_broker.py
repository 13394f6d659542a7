"""Dashboards of two nodes on a real Valkey: nobody is told less because they are on another node."""

from __future__ import annotations

import time

import pytest

from tests.analytics.test_views import read, started
from tests.support.analytics_rows import Made, put
from tests.support.analytics_stage import AnalyticsStage, DashboardPage, analytics_stage
from tests.support.nodes import NodeClient
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import until
from tidewire.analytics.views import PAUSE_S
from tidewire.core.errors import BusError
from tidewire.quotes.news import CHANNEL as QUOTES_CHANGED
from tidewire.store.database import Database

__all__ = ["valkey"]


async def shown(stage: AnalyticsStage, pages: dict[NodeClient, DashboardPage], quotes: int) -> None:
    """Let time pass until every page shows so many quotes."""
    while any(page.parts["totals"]["quotes"] != quotes for page in pages.values()):
        await stage.turn(PAUSE_S)
        for client, page in pages.items():
            await read(client, page)


async def test_both_nodes_are_told_what_happens_on_one(both: Database, valkey: ValkeyProcess) -> None:
    """An event and the figures reach watchers of either node; without the broker each node counts on by itself."""
    async with analytics_stage(both, 2, valkey.url) as stage:
        first, second = stage.nodes
        pages = {client: await started(client) for client in (first.connect(3), second.connect(3))}
        await put(both, [Made(time.time(), state="CA")])
        first.side.news.tell("quote_created", at=time.time(), data={"quote_id": "q"}, state="CA", product="x")
        first.bus.publish(QUOTES_CHANGED, [b"{}"])
        for client in pages:
            assert (await client.take("analytics_event"))["node"] == "n0"
        await shown(stage, pages, 1)
        valkey.kill()
        await until(lambda: not second.bus.reaches(QUOTES_CHANGED), 30.0)
        with pytest.raises(BusError):
            second.bus.publish(QUOTES_CHANGED, [b"{}"])
        await put(both, [Made(time.time(), state="CA")])
        first.side.news.tell("quote_created", at=time.time(), data={"quote_id": "r"}, state="CA", product="x")
        # Here at least it is told; and time moves on for both.
        assert (await next(iter(pages)).take("analytics_event"))["data"] == {"quote_id": "r"}
        await shown(stage, pages, 2)
