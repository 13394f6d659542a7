"""Quotes of two nodes on a real Valkey and a real database, also while the broker is killed."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.quote_stage import QuoteStage, Tab, check, staged
from tests.support.valkey import ValkeyProcess, valkey

__all__ = ["valkey"]
EDITS = 12


async def together(stage: QuoteStage, tabs: list[Tab], label: str) -> None:
    """Let everybody edit a field of their own and one that all want, at the same time."""
    for n in range(EDITS):
        for number, tab in enumerate(tabs):
            tab.edit(("driver_name", "vehicle_make", "vehicle_model")[number], f"{label} {n}")
            tab.edit("notes", f"{label} {number}-{n}")
        await asyncio.gather(*(tab.settle(number % 2) for number, tab in enumerate(tabs)))


@pytest.mark.timeout(180)
async def test_two_nodes_edit_one_quote(migrated_url: str, valkey: ValkeyProcess) -> None:
    """Edits on both at once end the same everywhere, on SQLite and Postgres; after a kill -9 of the broker, too."""
    async with staged(migrated_url, valkey.url) as stage:
        quote_id = await stage.make()
        tabs = [Tab.of(stage, quote_id, number + 1) for number in range(3)]
        for number, tab in enumerate(tabs):
            await tab.settle(number % 2)
        await together(stage, tabs, "before")
        await stage.rate(0, quote_id)
        await check_settled(stage, quote_id, tabs)
        valkey.kill()
        for tab in tabs:
            tab.edit("notes", f"dark {tab.user_id}")
        await asyncio.to_thread(valkey.start)
        await back(stage)
        await together(stage, tabs, "after")
        await check_settled(stage, quote_id, tabs)
        assert sum(len(tab.acked) for tab in tabs) >= 2 * EDITS * len(tabs)


async def check_settled(stage: QuoteStage, quote_id: str, tabs: list[Tab]) -> None:
    """Let everybody come to rest, then compare."""
    for number, tab in [*enumerate(tabs), *enumerate(tabs)]:
        await tab.settle(number % 2)
    await check(stage, quote_id, tabs)


async def back(stage: QuoteStage) -> None:
    """Return when both nodes have the broker again."""
    changed = asyncio.Event()
    buses = [node.bus.on_state(lambda _: changed.set()) for node in stage.nodes]
    logs = [node.log.on_state(changed.set) for node in stage.nodes]
    async with asyncio.timeout(60.0):
        while any(node.bus.status().state == "down" or node.log.status().state == "down" for node in stage.nodes):
            changed.clear()
            await changed.wait()
    for watch in (*buses, *logs):
        watch.close()
