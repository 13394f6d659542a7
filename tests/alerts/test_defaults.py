"""Every shipped rule, tripped by what it is about on a real process: the real metric moves, the alert opens."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from tests.alerts.stage import DAY
from tests.support.admin import feed_status
from tests.support.alerts import ALERTS, NOON, Judge
from tests.support.platform import Served
from tests.support.waiting import until
from tidewire.alerts.defaults import DEFAULTS
from tidewire.core.errors import StoreError, Unauthenticated
from tidewire.core.feed_status import FeedPause, FeedStatus

LINE = "line=connection_1"


def status(judge: Judge, **line: Any) -> FeedStatus:
    """Return a status of now with the first line changed."""
    made = feed_status(judge.clock.time())
    return replace(
        made, connections={**made.connections, "connection_1": replace(made.connections["connection_1"], **line)}
    )


async def reported(judge: Judge, rounds: int, **line: Any) -> None:
    """Let the feed report before each round."""
    for _ in range(rounds):
        judge.feed(status(judge, **line))
        await until(lambda: judge.site.web.monitor.report().feed is not None)
        await judge.step()


async def test_a_line_that_is_down_opens_one_alert_for_it(judge: Judge) -> None:
    """Down for half a minute opens, the disabled line does not; up again closes; a paused feed is not down."""
    await reported(judge, 2)
    assert (judge.open(), judge.state("feed_line_down")) == ({}, "fine")
    down = {"status": "error", "state": "cooldown"}
    await reported(judge, 6, **down)
    assert judge.state("feed_line_down") == "pending"
    await reported(judge, 1, **down)
    assert list(judge.open()) == [f"feed_line_down {LINE}"]
    opened = judge.open()[f"feed_line_down {LINE}"]
    assert (opened.severity, opened.details["member_count"]) == ("critical", 1)
    await reported(judge, 1)
    assert judge.open() == {}
    paused = replace(status(judge, **down), paused=FeedPause(by="ada", since=NOON))
    for _ in range(10):
        judge.feed(replace(paused, timestamp=judge.clock.time()))
        await judge.step()
    assert (judge.open(), judge.state("feed_line_down")) == ({}, "resting")


async def test_a_feed_that_falls_silent_opens(judge: Judge) -> None:
    """No report for 15 s, for 10 s: open; a new report closes it. While none has ever come it is no_data."""
    await judge.step()
    assert judge.state("feed_silent") == "no_data"
    await reported(judge, 1)
    await judge.step(4)
    assert "feed_silent" not in judge.open()
    await judge.step(2)
    assert "feed_silent" in judge.open()
    await reported(judge, 1)
    assert "feed_silent" not in judge.open()


async def test_a_stale_line_opens_in_session_only(judge: Judge) -> None:
    """Stale at noon on Wednesday opens; on Saturday the rule rests, and what was open is closed."""
    await reported(judge, 7, state="stale")
    assert f"feed_stale {LINE}" in judge.open()
    judge.clock.jump(3 * DAY)
    await reported(judge, 8, state="stale")
    assert (f"feed_stale {LINE}" in judge.open(), judge.state("feed_stale")) == (False, "resting")


async def test_a_tick_rate_that_collapses_opens(judge: Judge) -> None:
    """Ten a second for a quarter of an hour, then one in five seconds: open within three minutes; then closed."""
    count = 0
    for per_round, rounds in ((50, 190), (1, 32)):
        for _ in range(rounds):
            count += per_round
            await reported(judge, 1, message_count=count)
        assert (f"tick_rate_collapse {LINE}" in judge.open()) == (per_round == 1)
    for _ in range(12):
        count += 50
        await reported(judge, 1, message_count=count)
    assert f"tick_rate_collapse {LINE}" not in judge.open()


async def breaking(http: httpx2.AsyncClient) -> None:
    """Ask for what is broken, twenty times."""
    for _ in range(20):
        assert (await http.get(f"{ALERTS}/rules/metrics")).status_code == 500


async def test_answers_with_500_open(judge: Judge) -> None:
    """A route that breaks for a minute."""

    async def broken() -> None:
        raise RuntimeError("broken on purpose")

    judge.side.desk.metrics = broken  # type: ignore[method-assign,assignment]
    await judge.step(8)
    assert judge.state("error_rate") == "fine"
    # Twenty tracebacks with all their locals would take a minute to be drawn.
    with capture_logs() as logged:
        async with judge.site.http("ada") as http:
            await breaking(http)
    assert len([line for line in logged if "exc_info" in line]) == 20
    await judge.step(8)
    assert "error_rate" in judge.open()
    await judge.step(14)
    assert "error_rate" not in judge.open()


@contextlib.asynccontextmanager
async def sockets(site: Served, number: int) -> AsyncIterator[list[Any]]:
    """Open so many sockets of one after the other user."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for n in range(number):
            client = await stack.enter_async_context(site.raw(("bob", "mod", "ada")[n % 3]))
            await client.expect("connection", status="connected")
            found.append(client)
        yield found


async def test_slow_consumers_that_are_cut_off_open(judge: Judge) -> None:
    """Fourteen closed with 4003 within two minutes."""
    await judge.step(14)
    assert judge.state("slow_consumers") == "fine"
    hub = judge.site.side.hub
    async with sockets(judge.site, 14) as clients:
        for session in list(hub._board.registry):
            hub.close(session, 4003)
        assert [await client.close_code() for client in clients] == [4003] * 14
    await until(lambda: hub.statistics().closed_by_code.get("4003") == 14)
    await judge.step(14)
    assert "slow_consumers" in judge.open()


async def counted(judge: Judge, key: str, count: Callable[[], None], rounds: int) -> None:
    """Let something be counted before each round, and look whether the rule opens by it."""
    await judge.step(8)
    assert judge.state(key) in ("fine", "quiet")
    for _ in range(rounds):
        count()
        await judge.step()
    assert [each for each in judge.open() if each.startswith(key)], judge.state(key)


async def test_bytes_held_back_open_and_close_with_hysteresis(judge: Judge) -> None:
    """The hub's own figure: over 64 MiB for a minute opens, between 32 and 64 stays, below closes."""
    budget = judge.site.side.hub._board.budget

    def hold() -> None:
        budget.held_bytes = 70_000_000

    await counted(judge, "held_back", hold, 14)
    budget.held_bytes = 40_000_000
    await judge.step(3)
    assert "held_back" in judge.open()
    budget.held_bytes = 0
    await judge.step()
    assert "held_back" not in judge.open()


async def test_a_fan_out_ratio_opens(judge: Judge) -> None:
    """Each of two messages a second goes to six thousand."""
    rooms = judge.site.side.hub._board.rooms

    def fan_out() -> None:
        rooms.published += 10
        rooms.outflow.delivered += 60_000

    await counted(judge, "fan_out_ratio", fan_out, 40)


async def test_an_event_loop_that_stands_still_opens(judge: Judge) -> None:
    """Three real stalls of more than half a second."""
    watch = judge.site.platform._watch

    await judge.step(8)
    for _ in range(3):
        time.sleep(0.9)  # noqa: ASYNC251 - the stall itself
        stood, beat_at = watch.stalls, watch._beat_at
        await until(lambda beat_at=beat_at: watch._beat_at > beat_at)  # type: ignore[misc]
    assert stood >= 2
    await judge.step()
    assert "event_loop_lag" in judge.open()
    await judge.step(13)
    assert "event_loop_lag" not in judge.open()


async def test_a_database_that_is_away_is_told_and_written_later(judge: Judge) -> None:
    """Degraded, then down: both alerts open at once and are told; the rows come when it is back."""
    watch = judge.site.web.storage.watch
    await watch.loop.stop()
    await judge.step(2)
    watch.health.failed(time.time(), StoreError("Read-only.", code="storage_read_only"))
    await judge.step(13)
    assert "database_degraded" in judge.open()
    async with judge.site.raw("ada") as ada:
        await ada.expect("connection", status="connected")
        watch.health.failed(time.time(), StoreError("Away."))
        await judge.step(3)
        told = await ada.expect("admin_alert", event="opened")
    assert (told["alert"]["rule"], told["alert"]["stored"]) == ("database_down", False)
    # What is open is listed all the same, and says that it is not stored.
    assert "database_down" in {each.rule for each in await judge.listed(view="open") if not each.stored}
    assert judge.side.herald.board is not None
    assert judge.side.herald.board.unwritten >= 1
    watch.health.answered(time.time())
    await judge.step(1)
    stored = {each.alert_type for each in await judge.side.keeper._alerts.unresolved()}
    assert {"database_down", "database_degraded"} <= stored
    assert judge.side.book.unwritten == {}
    await judge.step(14)
    assert judge.open() == {}
    rows = [each for each in await judge.listed(view="resolved") if each.rule == "database_down"]
    assert [(each.resolved_by, each.resolved_why) for each in rows] == [("system", "good")]


async def test_a_flood_of_failed_logins_opens(judge: Judge) -> None:
    """Forty wrong passwords from forty addresses within a minute."""
    await judge.step(8)
    for n in range(40):
        with pytest.raises(Unauthenticated):
            await judge.site.accounts.log_in(f"nobody-{n}", "wrong password", ip=f"192.0.2.{n}")
    await judge.step(1)
    assert "login_flood" in judge.open()
    await judge.step(14)
    assert "login_flood" not in judge.open()


async def test_figures_that_stand_still_open(judge: Judge) -> None:
    """The registry is away for 30 s: the node's figures are stale, and its rules say that they know nothing."""
    await judge.step(2)
    source = judge.side.evaluator._source
    still = await source.latest()

    async def again() -> Any:
        return still

    source.latest = again  # type: ignore[method-assign]
    await judge.step(8)
    assert f"collector_stale node={judge.site.web._node}" in judge.open()
    assert judge.state("held_back") == "no_data"
    # Two more whose missing figures are alerts of their own.
    await judge.step(3)
    assert {"bus_down (no data)", "database_down (no data)"} <= set(judge.open())
    del source.latest
    await judge.step(3)
    assert judge.open() == {}


def test_no_shipped_rule_is_without_its_test() -> None:
    """Each is looked for in what is open here; the broker's two in test_nodes.py, where a broker can be ended."""
    here, nodes = (Path(__file__).with_name(name).read_text() for name in ("test_defaults.py", "test_nodes.py"))
    looked_for = re.compile(
        r"""(?:f?"|judge, ")(\w+)[ \w={}.]*"(?:\]| in judge\.open\(\)| <=|, \w+, \d+\)|, "\w+ \()"""
    )
    found = set(looked_for.findall(here + nodes))
    assert {rule.key for rule in DEFAULTS} - found == set()
