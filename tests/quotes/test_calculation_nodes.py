"""Calculations where several nodes share quotes: one of two supersedes the other, and a dead one's are ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.app.test_two_processes import both
from tests.quotes.test_calculation import BOB, begun, database_of, ended, fetch
from tests.support.quotes import RATEABLE, calculate, make_quote, open_quote
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.ws_client import RawClient
from tidewire.store.calculation_record import CalculationState

__all__ = ["valkey"]


async def _ends_until(client: RawClient, calculation_id: str) -> dict[str, list[str]]:
    """Read on to the end of a calculation; return all ends on the way by calculation."""
    ends: dict[str, list[str]] = {}
    while calculation_id not in ends:
        end: dict[str, Any] = await client.expect("calculation_progress", ended=True)
        ends.setdefault(end["calculation_id"], []).append(end["stage"])
    return ends


async def test_stages_and_the_end_are_seen_on_every_node(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Who follows on one node sees what another one calculates, stages in order."""
    async with asyncio.timeout(50), both(tmp_path, valkey.url) as (one, two):
        quote_id = await make_quote(one, **RATEABLE)
        async with two.raw("ada") as ada:
            await open_quote(ada, quote_id)
            begun = await calculate(one, quote_id)
            stages = [(await ada.expect("calculation_progress"))["progress"] for _ in range(6)]
            assert stages == [0, 16, 33, 50, 66, 83]
            assert (await ended(ada, begun["calculation_id"]))["stage"] == "done"


async def test_a_newer_calculation_on_any_node_supersedes(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Twenty asked of two nodes in turn: one end each, and the premium is of the newest, whichever node had it."""
    async with asyncio.timeout(50), both(tmp_path, valkey.url) as (one, two):
        quote_id = await make_quote(one, **RATEABLE)
        async with one.raw("ada") as ada:
            await open_quote(ada, quote_id)
            older = await begun(one, quote_id)
            newer = await calculate(two, quote_id)
            assert (await ended(ada, older.calculation_id))["stage"] == "superseded"
            assert (await ended(ada, newer["calculation_id"]))["stage"] == "done"
            asked = await asyncio.gather(*(calculate((one, two)[n % 2], quote_id) for n in range(20)))
            newest = max(asked, key=lambda each: each["serial"])
            ends = await _ends_until(ada, newest["calculation_id"])
        assert ends[newest["calculation_id"]] == ["done"]
        assert all(len(stages) == 1 and stages[0] in {"done", "superseded"} for stages in ends.values()), ends
        document = await fetch(two, quote_id)
        assert document["quote"]["premium"]["calculation_id"] == newest["calculation_id"]


async def test_what_a_dead_node_left_is_ended_once_by_the_others(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Both sweep; each client hears one end, within seconds of the deadline, and then of a new calculation."""
    async with asyncio.timeout(50), both(tmp_path, valkey.url) as (one, two):
        quote_id = await make_quote(one, **RATEABLE)
        async with one.raw("ada") as ada, two.raw("bob") as bob:
            await open_quote(ada, quote_id)
            await open_quote(bob, quote_id)
            dead = await begun(one, quote_id, life_s=0.0)
            # Both nodes look at the same time.
            await asyncio.gather(*(site.side.quotes.sweeper.sweep() for site in (one, two)))
            again = await calculate(two, quote_id)
            for client in (ada, bob):
                ends = await _ends_until(client, again["calculation_id"])
                assert ends == {dead.calculation_id: ["timed_out"], again["calculation_id"]: ["done"]}


async def test_an_end_that_several_nodes_tell_is_heard_once(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """A node died after it had noted the end; whoever finds that tells it, by one name, which the room takes once."""
    async with asyncio.timeout(50), both(tmp_path, valkey.url) as (one, two):
        quote_id = await make_quote(one, **RATEABLE)
        async with one.raw("ada") as ada:
            await open_quote(ada, quote_id)
            record = await begun(one, quote_id)
            error = {"code": "x"}
            assert await database_of(one).end(record, CalculationState.FAILED, record.started_at, error)
            ended = replace(record, state=CalculationState.FAILED, error=error)
            await asyncio.gather(*(site.side.quotes.sweeper.tell(ended) for site in (one, two, one)))
            again = await calculate(two, quote_id)
            ends = await _ends_until(ada, again["calculation_id"])
            assert ends == {record.calculation_id: ["failed"], again["calculation_id"]: ["done"]}


async def test_an_end_is_replayed_to_whoever_was_away(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """A client that was cut off while it waited resumes on another node and is told how it ended."""
    async with asyncio.timeout(50), both(tmp_path, valkey.url) as (one, two):
        quote_id = await make_quote(one, **RATEABLE)
        async with one.raw("ada") as ada:
            state = await open_quote(ada, quote_id)
        begun = await calculate(one, quote_id)
        since = {"epoch": state["epoch"], "offset": state["offset"]}
        until = time.monotonic() + 20
        while (await fetch(one, f"{quote_id}/calculation"))["state"] != "done":
            assert time.monotonic() < until
        async with two.raw("ada") as ada:
            ada.say("subscribe", id=1, room_id=f"quote:{quote_id}", since=since)
            assert (await ada.expect("subscribed", room_id=f"quote:{quote_id}"))["recovered"]
            assert (await ended(ada, begun["calculation_id"]))["stage"] == "done"


async def test_a_calculation_that_is_cut_by_the_end_of_its_node_is_ended_by_another(
    tmp_path: Path, valkey: ValkeyProcess
) -> None:
    """Its task is cancelled in the middle of waiting for its turn; whoever waits on the other node is told."""
    async with asyncio.timeout(50), both(tmp_path, valkey.url) as (one, two):
        quote_id = await make_quote(one, **RATEABLE)
        async with two.raw("ada") as ada:
            await open_quote(ada, quote_id)
            record = await begun(one, quote_id, life_s=1.0)
            side = one.side.quotes
            # Somebody else has the quote's turn on that node, so that the calculation stands still.
            async with side.desk.turn(quote_id):
                task = asyncio.create_task(side.calculator.run(record, BOB))
                await ada.expect("calculation_progress", stage="total")
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert (await ended(ada, record.calculation_id))["stage"] == "timed_out"
        assert (await fetch(two, quote_id))["quote"]["premium"] is None
