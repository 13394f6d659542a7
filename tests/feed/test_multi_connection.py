"""Several lines together: assignment, run-time changes, limits, fail-over, pause, reports."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

from tests.feed.conftest import Rig
from tests.support.upstream import Upstream, status, trade
from tidewire.core.errors import Conflict, InvalidRequest, NotFound
from tidewire.core.feed_status import FeedStatus
from tidewire.feed.multi_connection import ConnectionInfo, timing_for
from tidewire.feed.single_connection import MassiveWebSocketClient
from tidewire.feed.source import LineConfig


async def test_health_is_the_contract(rig: Rig) -> None:
    """Every slot is reported; disabled ones are not counted; the JSON reads back as the struct."""
    lines = [
        LineConfig("connection_1", "primary", universe_key="market_leaders:top_500", tickers=("AAPL", "MSFT")),
        LineConfig("connection_2", "secondary", tickers=("TSLA",)),
        LineConfig("connection_3", "tertiary", enabled=False, warnings=("not configured",)),
    ]
    assert await rig.start(lines=lines)
    report = rig.manager.get_health_status()
    assert (report["total_connections"], report["connected_count"], report["source"]) == (2, 2, "massive")
    assert list(report["connections"]) == ["connection_1", "connection_2", "connection_3"]
    first, third = report["connections"]["connection_1"], report["connections"]["connection_3"]
    assert (first["name"], first["universe_key"], first["assigned_tickers"]) == ("primary", "market_leaders:top_500", 2)
    assert first["tickers"] == ["AAPL", "MSFT"]
    assert (third["status"], third["state"], third["enabled"]) == ("disabled", "disabled", False)
    assert third["warnings"] == ["not configured"]
    assert msgspec.convert(report, FeedStatus) == rig.manager.health()
    assert rig.manager.connections["connection_2"] == ConnectionInfo("connection_2", "secondary", {"TSLA"}, "connected")


async def test_uptime_and_rate_are_what_they_say(rig: Rig) -> None:
    """Uptime counts from the connection, the rate forgets what is older than ten seconds."""
    await rig.start("AAPL")
    peer = await rig.venue.peer(1)
    await rig.clock.advance(5)
    await peer.send(*(trade("AAPL", q) for q in range(1, 101)))
    await rig.until(lambda: len(rig.ticks) == 100)
    await rig.clock.advance(4)
    health = rig.line()
    assert health.uptime_seconds == pytest.approx(9)
    assert health.messages_per_second == pytest.approx(25, rel=0.3)
    await rig.clock.advance(8)
    assert rig.line().messages_per_second == 0
    assert rig.line().message_count == 100


async def test_a_ticker_on_two_lines_stays_on_the_first(rig: Rig) -> None:
    """The second mention is ignored, with a warning that says so."""
    await rig.start("AAPL MSFT", "aapl TSLA")
    assert rig.manager.get_ticker_assignment("AAPL") == "connection_1"
    assert rig.manager.get_connection_tickers("connection_2") == {"TSLA"}
    assert any("AAPL (on connection_1)" in text for text in rig.manager.health().warnings)
    second = await rig.venue.peer(2)
    await rig.venue.until(lambda: {"T.AAPL", "T.MSFT"} in [peer.topics for peer in rig.venue.peers])
    assert second.topics in ({"T.TSLA"}, {"T.AAPL", "T.MSFT"})


async def test_unowned_symbols_belong_to_nobody(rig: Rig) -> None:
    """A tick nobody asked for has no connection and is counted as unassigned."""
    await rig.start("AAPL")
    await (await rig.venue.peer(1)).send(trade("GHOST", 1), trade("AAPL", 1))
    await rig.until(lambda: len(rig.ticks) == 2)
    assert [tick.connection_id for tick in rig.ticks] == [None, "connection_1"]
    assert [tick.frame > 0 for tick in rig.ticks] == [False, True]
    assert rig.manager.health().unassigned_ticks == 1
    assert rig.manager.get_ticker_assignment("GHOST") is None


async def test_run_time_subscribe_goes_to_the_least_loaded_line(rig: Rig) -> None:
    """New tickers avoid the busy line; they are asked for at once, and dropped at once."""
    await rig.start("AAPL", "MSFT")
    await rig.venue.until(lambda: sum(len(peer.topics) for peer in rig.venue.peers) == 2)
    busy = next(peer for peer in rig.venue.peers if "T.AAPL" in peer.topics)
    quiet = next(peer for peer in rig.venue.peers if "T.MSFT" in peer.topics)
    await busy.send(*(trade("AAPL", q) for q in range(1, 50)))
    await rig.until(lambda: len(rig.ticks) == 49)
    assert rig.manager.subscribe(["nvda ", "AAPL"])
    assert rig.manager.get_ticker_assignment("NVDA") == "connection_2"
    await rig.venue.until(lambda: "T.NVDA" in quiet.topics)
    copy = rig.manager.get_connection_tickers("connection_2")
    copy.clear()
    assert rig.manager.get_connection_tickers("connection_2") == {"MSFT", "NVDA"}
    rig.manager.unsubscribe(["NVDA", "NOSUCH"])
    await rig.venue.until(lambda: "T.NVDA" not in quiet.topics)
    assert rig.manager.get_ticker_assignment("NVDA") is None


async def test_impossible_subscriptions_do_nothing(rig: Rig) -> None:
    """One absurd ticker and nothing is subscribed; without lines nothing can be."""
    await rig.start("AAPL")
    assert not rig.manager.subscribe(["TSLA", "no ticker!"])
    assert rig.manager.get_ticker_assignment("TSLA") is None
    assert any("no ticker!".upper() in text for text in rig.manager.health().warnings)
    rig.build(lines=[LineConfig("connection_1", "off", enabled=False)])
    assert not await rig.manager.connect()
    assert not rig.manager.subscribe(["AAPL"])


async def test_a_pending_subscription_survives_a_drop(rig: Rig) -> None:
    """What was asked for and not answered when the line dropped is asked for again."""
    await rig.start("AAPL")
    first = await rig.venue.peer(1)
    rig.venue.script.ack = "silent"
    assert rig.manager.subscribe(["MSFT"])
    first.abort()
    rig.venue.script.ack = "batched"
    assert rig.manager.subscribe(["TSLA"])
    await rig.until_ended("tcp_reset")
    rig.manager.unsubscribe(["AAPL"])
    await rig.reach_retry()
    second = await rig.venue.peer(2, topics=2)
    assert second.topics == {"T.MSFT", "T.TSLA"}


async def test_four_connections_on_an_account_for_three(rig: Rig) -> None:
    """The evicted line cools down and says what to do; the others stream on; nobody fights for the place."""
    rig.venue.script.limit = 3
    rig.begin("A", "B", "C", "D", failover=False)
    await rig.until(lambda: any(s.state == "cooldown" for s in rig.manager.health().connections.values()))
    await rig.until(lambda: rig.manager.health().connected_count == 3)
    (evicted,) = (s for s in rig.manager.health().connections.values() if s.state == "cooldown")
    assert evicted.status == "error"
    assert evicted.endings[-1].cause == "max_connections"
    assert "Enable fewer lines" in (evicted.last_error or "")
    assert evicted.next_retry_at is not None
    assert 60 <= evicted.next_retry_at - rig.clock.time() <= 120
    attempts = rig.venue.attempts
    await rig.clock.advance(59)
    assert rig.venue.attempts == attempts
    # Two minutes of eviction: at most two attempts a minute in all.
    await rig.pass_time(10, steps=12)
    assert rig.venue.attempts - attempts <= 4


async def test_a_cooldown_holds_back_every_line_that_is_down(rig: Rig) -> None:
    """During the account's cooldown a line that dropped for another reason waits too."""
    await rig.start("A", "B", failover=False)
    await rig.venue.until(lambda: sum(len(peer.topics) for peer in rig.venue.peers) == 2)
    peers = {next(iter(peer.topics)): peer for peer in rig.venue.peers}
    await peers["T.A"].send(status("max_connections", "too many"))
    await rig.until_state("cooldown", 1)
    peers["T.B"].abort()
    assert (await rig.until_state("cooldown", 2)).endings[-1].cause == "tcp_reset"
    attempts = rig.venue.attempts
    await rig.clock.advance(55)
    assert rig.venue.attempts == attempts


async def test_who_begins_anew_does_not_wait_for_an_old_cooldown(rig: Rig) -> None:
    """Disconnected during a cooldown (its lease was lost) and connected again: it dials at once, as a new process."""
    await rig.start("A", failover=False)
    await (await rig.venue.peer(1, topics=1)).send(status("max_connections", "too many"))
    await rig.until_state("cooldown", 1)
    await rig.manager.disconnect()
    async with asyncio.timeout(45):
        assert await rig.manager.connect()
    await rig.until_state("live", 1)


async def test_failover_and_home_again(rig: Rig) -> None:
    """A dead line's tickers flow on the others within seconds, go home when it is stable, and nothing is doubled."""
    await rig.start("A1 A2", "B1", "C1")
    await rig.venue.until(lambda: sum(len(peer.topics) for peer in rig.venue.peers) == 4)
    # One round of the watcher: a line that it has never seen up is late with its first attempt, not down.
    await rig.clock.advance(0.5)
    dead = next(peer for peer in rig.venue.peers if "T.A1" in peer.topics)
    rig.venue.script.http_status = 503
    dead.abort()
    await rig.until_ended("tcp_reset")
    await rig.clock.advance(3)
    await rig.venue.until(lambda: {"T.A1", "T.A2"} <= set().union(*(p.topics for p in rig.venue.open_peers)))
    owners = {rig.manager.get_ticker_assignment(ticker) for ticker in ("A1", "A2")}
    assert owners == {"connection_2", "connection_3"}
    assert any("carried by other connections" in text for text in rig.line(1).warnings)
    stand_in = next(peer for peer in rig.venue.open_peers if "T.A1" in peer.topics)
    await stand_in.send(trade("A1", 1))
    await rig.until(lambda: rig.ticks)
    assert rig.ticks[0].connection_id in owners

    await rig.until(lambda: rig.line(1).next_retry_at is not None)
    rig.venue.script.http_status = None
    await rig.reach_retry(1)
    await rig.until_state("live")
    await rig.pass_time(5, steps=3)
    home = await rig.venue.peer(4, topics=2)
    assert home.topics == {"T.A1", "T.A2"}
    assert rig.manager.get_ticker_assignment("A1") == "connection_1"
    # Both deliver for a moment: the same trade comes twice and is published once.
    await home.send(trade("A1", 2))
    await stand_in.send(trade("A1", 2), trade("B1", 1))
    await rig.until(lambda: sum(s.duplicates for s in rig.manager.health().connections.values()) == 1)
    assert [tick.symbol for tick in rig.ticks].count("A1") == 2
    await rig.pass_time(1, steps=5)
    await rig.venue.until(lambda: "T.A1" not in stand_in.topics)
    assert rig.line(1).warnings == []


async def test_pause_and_resume_for_everybody(rig: Rig) -> None:
    """A pause closes all lines and says who and why; resume brings them back; connect while paused starts nothing."""
    await rig.start("A", "B")
    await rig.manager.pause("alice", "maintenance")
    report = rig.manager.health()
    assert report.paused is not None
    assert (report.paused.by, report.paused.reason, report.paused.since) == ("alice", "maintenance", rig.clock.time())
    assert {slot.state for slot in report.connections.values()} == {"paused"}
    await rig.venue.until(lambda: not rig.venue.open_peers)
    await rig.manager.pause("bob", "again")
    assert not await rig.manager.connect()
    assert rig.venue.attempts == 2
    await rig.manager.resume()
    await rig.until(lambda: rig.manager.health().connected_count == 2)
    assert rig.manager.health().paused is None


async def test_disconnect_leaves_nothing_running() -> None:
    """After disconnect, in whatever stage, the tasks are those of before; connect may follow."""
    before = asyncio.all_tasks()
    async with Upstream() as venue:
        rig = Rig(venue)
        await rig.start("A", "B")
        assert await rig.manager.connect()
        assert venue.attempts == 2
        await rig.manager.disconnect()
        await rig.manager.disconnect()
        await venue.until(lambda: not venue.open_peers)
        assert {slot.state for slot in rig.manager.health().connections.values()} == {"disconnected"}
        venue.script.greet = False
        second = asyncio.create_task(rig.manager.connect())
        await rig.until_state("greeting", 1)
        await rig.until_state("greeting", 2)
        await rig.manager.disconnect()
        assert not await second
        await venue.until(lambda: not venue.open_peers)
        venue.script.hang = True
        third = asyncio.create_task(rig.manager.connect())
        await venue.until(lambda: venue.attempts == 6)
        await rig.manager.disconnect()
        assert not await third
    assert asyncio.all_tasks() == before


async def test_status_is_reported_once_per_turn(rig: Rig) -> None:
    """Changes within one turn of the loop make one report; a failing listener is counted and harmless."""
    await rig.start("A")
    await asyncio.sleep(0)
    seen = len(rig.statuses)
    for number in range(50):
        rig.manager.subscribe([f"X{number}"])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(rig.statuses) == seen + 1
    assert rig.statuses[-1].connections["connection_1"].assigned_tickers == 51


async def test_a_failing_status_listener_is_harmless(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """An exception in the listener is logged and counted; the lines run."""
    caplog.set_level(logging.CRITICAL)

    def refuse(status: FeedStatus) -> None:
        raise RuntimeError("no page")

    rig.receive_status = refuse  # type: ignore[method-assign]
    assert await rig.start("A")
    assert rig.manager.callback_errors > 0
    assert rig.manager.health().total_errors == rig.manager.callback_errors


async def test_single_connection_mode(rig: Rig) -> None:
    """One line carries all tickers behind the same interface; the other slots say why they are off."""
    assert await rig.start("A B", "C", kind=MassiveWebSocketClient)
    peer = await rig.venue.peer(1, topics=3)
    assert peer.topics == {"T.A", "T.B", "T.C"}
    report = rig.manager.health()
    assert (report.total_connections, rig.venue.attempts) == (1, 1)
    assert report.connections["connection_2"].status == "disabled"
    assert "line 1 carries its tickers" in report.connections["connection_2"].warnings[0]
    assert rig.manager.subscribe(["D"])
    await rig.venue.peer(1, topics=4)


def test_delayed_hosts_are_expected_to_lag() -> None:
    """The vendor's delayed feed is 15 minutes late by design; others are not."""
    assert timing_for("wss://delayed.massive.com/stocks").expected_delay_s == 900
    assert timing_for("wss://socket.massive.com/stocks").expected_delay_s == 0


async def test_a_line_is_reconnected_on_request(rig: Rig) -> None:
    """One line ends and begins anew, twice asked is once done, the others stay; not while paused, not a stranger's."""
    await rig.start("A", "B")
    rig.manager.reconnect("connection_1")
    rig.manager.reconnect("connection_1")
    await rig.until(lambda: rig.line(1).state != "live")
    await rig.until_state("live", 1)
    assert rig.venue.attempts == 3
    assert [ending.cause for ending in rig.line(1).endings] == ["stopped"]
    assert rig.line(2).endings == []
    with pytest.raises(NotFound):
        rig.manager.reconnect("connection_9")
    await rig.manager.pause("ann")
    with pytest.raises(Conflict):
        rig.manager.reconnect("connection_1")


async def test_a_pause_ends_a_line_that_is_being_reconnected(rig: Rig) -> None:
    """A line that is just starting anew does not come back behind the pause."""
    await rig.start("A")
    rig.manager.reconnect("connection_1")
    await rig.manager.pause("ann")
    await rig.pass_time(0.0, steps=1)
    assert rig.line(1).state == "paused"
    await rig.venue.until(lambda: not rig.venue.open_peers)
    assert rig.venue.attempts <= 2


async def test_a_ticker_moves_to_another_line(rig: Rig) -> None:
    """The new line subscribes, the old one goes on for a moment and then stops; what cannot be moved is refused."""
    await rig.start("A1 A2", "B1")
    await rig.venue.until(lambda: sum(len(peer.topics) for peer in rig.venue.peers) == 3)
    old, new = sorted(rig.venue.peers, key=lambda peer: "T.B1" in peer.topics)
    rig.manager.move(" a1 ", "connection_2")
    await rig.venue.until(lambda: "T.A1" in new.topics)
    assert rig.manager.get_ticker_assignment("A1") == "connection_2"
    assert "T.A1" in old.topics
    await rig.pass_time(1, steps=5)
    await rig.venue.until(lambda: "T.A1" not in old.topics)
    rig.manager.move("A1", "connection_2")
    with pytest.raises(NotFound):
        rig.manager.move("ZZZ", "connection_2")
    with pytest.raises(NotFound):
        rig.manager.move("A2", "connection_3")
    with pytest.raises(InvalidRequest):
        rig.manager.move("A 2", "connection_1")
    assert rig.manager.get_connection_tickers("connection_1") == {"A2"}
