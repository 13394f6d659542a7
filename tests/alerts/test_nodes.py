"""Two processes on one broker: one judges, both tell, and the broker's own end is an alert, too."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.alerts.test_acting import RULE, RULES
from tests.app.test_two_processes import both
from tests.support.alerts import Judge
from tests.support.platform import Served, served
from tests.support.valkey import ValkeyProcess, valkey
from tests.support.waiting import until
from tidewire.alerts.evaluator import ALONE_AFTER_S, UNWATCHED_S, Mode

__all__ = ["valkey"]


async def judging(*sites: Served) -> tuple[Judge, ...]:
    """Return the judging of each process, once one of them has the lease."""
    await until(lambda: any(site.web.alerts.fence() is not None for site in sites))
    return tuple([await Judge(site, time.time()).take_over() for site in sites])


async def test_one_judges_and_everybody_is_told_on_every_node(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """The one with the lease opens one alert, clients of both nodes hear it, both list it; the other goes on."""
    async with asyncio.timeout(60), both(tmp_path, valkey.url) as (one, two):
        judges = await judging(one, two)
        (leader,) = [judge for judge in judges if judge.side.fence() is not None]
        (other,) = [judge for judge in judges if judge is not leader]
        async with one.raw("mod") as here, two.raw("mod") as there, other.site.http("ada") as ada:
            for client in (here, there):
                await client.expect("connection", status="connected")
            body = {"version": 0, "rule": {**RULE, "threshold": 1}}
            assert (await ada.put(f"{RULES}/crowd", json=body)).status_code == 200
            # The leader hears over the broker that a rule was made.
            await until(lambda: leader.side.keeper._read_at is None)
            for _ in range(3):
                await leader.step()
                await other.step()
            heard = [await client.expect("admin_alert", event="opened") for client in (here, there)]
            assert heard[0]["alert"]["id"] == heard[1]["alert"]["id"]
            assert (leader.side.evaluator.mode, other.side.evaluator.mode) == (Mode.LEADING, Mode.FOLLOWING)
            await until(lambda: other.side.herald.board is not None and other.side.herald.board.open)
            listed = [await judge.listed() for judge in judges]
            assert [each.id for each in listed[0]] == [each.id for each in listed[1]] == [heard[0]["alert"]["id"]]
            # The leader gives the lease back; the other takes over with the same alert and tells nobody again.
            await leader.side.stop()
            await until(lambda: other.side.fence() is not None)
            await other.step(3)
            assert other.side.evaluator.mode is Mode.LEADING
            assert heard[0]["alert"]["id"] in {each.id for each in other.side.book.open.values()}


async def test_while_nobody_judges_it_is_said(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """A node that does not judge and hears nobody tells its own clients and its API says so."""
    async with asyncio.timeout(60), served(tmp_path, redis_url=valkey.url) as site:
        (judge,) = await judging(site)
        await judge.step()
        async with site.raw("mod") as mod, site.http("ada") as ada:
            await mod.expect("connection", status="connected")
            assert (await ada.get("/api/v1/admin/alerts/judging")).json()["mode"] == "leading"
            # Somebody else has it, and is mute.
            judge.side.evaluator._fence = lambda: None
            await judge.step(int(UNWATCHED_S / 5) + 1)
            assert (await mod.expect("admin_alert", event="unwatched"))["since"] == judge.side.herald.heard_at
            answer = (await ada.get("/api/v1/admin/alerts/judging")).json()
            assert (answer["mode"], answer["heard_at"]) == ("nobody", judge.side.herald.heard_at)
            assert "tidewire_alerts_leads 0.0" in (await ada.get("/metrics")).text


async def test_a_broker_that_is_away_is_an_alert_on_every_node(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Without the broker nobody has the lease: each node judges alone, tells its own, and hands over afterwards."""
    async with asyncio.timeout(120), served(tmp_path, redis_url=valkey.url) as site:
        (judge,) = await judging(site)
        await judge.step(3)
        bus = site.platform.bus
        async with site.raw("mod") as mod:
            await mod.expect("connection", status="connected")
            valkey.kill()
            await until(lambda: bus.status().state == "down")
            await until(lambda: judge.side.fence() is None, ceiling_s=20)
            judge.clock.jump(max(0.0, bus.status().since + ALONE_AFTER_S - judge.clock.time()))
            await judge.step(4)
            assert judge.side.evaluator.mode is Mode.ALONE
            assert "bus_down" in judge.open()
            told = await mod.expect("admin_alert", event="opened")
            assert (told["alert"]["rule"], told["alert"]["severity"]) == ("bus_down", "critical")
            valkey.start()
            await until(lambda: bus.status().state != "down", ceiling_s=30)
            await until(lambda: judge.side.fence() is not None, ceiling_s=30)
            await judge.step(4)
            assert judge.side.evaluator.mode is Mode.LEADING
            assert (await mod.expect("admin_alert", event="resolved"))["alert"]["rule"] == "bus_down"
            assert "bus_down" not in judge.open()
        row = next(each for each in await judge.listed(view="resolved") if each.rule == "bus_down")
        assert (row.resolved_by, row.resolved_why, row.id) == ("system", "good", told["alert"]["id"])


async def test_a_broker_that_loses_messages_is_degraded(tmp_path: Path, valkey: ValkeyProcess) -> None:
    """Restarted: connected again, and something was missed. The bus's own figure, half a minute long, opens."""
    async with asyncio.timeout(60), served(tmp_path, redis_url=valkey.url) as site:
        (judge,) = await judging(site)
        await judge.step(2)
        valkey.kill()
        await until(lambda: site.platform.bus.status().state == "down", ceiling_s=20)
        valkey.start()
        await until(lambda: site.platform.bus.status().state == "degraded", ceiling_s=30)
        await until(lambda: judge.side.fence() is not None, ceiling_s=30)
        assert site.platform.bus.status().state == "degraded"
        await judge.step(8)
        assert "bus_degraded" in judge.open()
