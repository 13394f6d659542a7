"""One line against a scripted venue."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed

from tests.feed.conftest import WEEKEND, Rig
from tests.support.upstream import KEY, Upstream, status, trade
from tidewire.core.errors import NotFound


async def test_happy_path(rig: Rig) -> None:
    """A line greets, authenticates, subscribes, and hands up each trade as a tick."""
    assert await rig.start("AAPL BRK.B")
    peer = await rig.venue.peer(1, topics=2)
    assert peer.topics == {"T.AAPL", "T.BRK.B"}
    await peer.send(trade("AAPL", 1, 178.23, ds="0.5"), trade("BRK.B", 1, 350.0))
    await rig.until(lambda: len(rig.ticks) == 2)
    first = rig.ticks[0]
    assert (first.symbol, first.price, first.volume, first.timestamp) == ("AAPL", 178.23, 0.5, 1_700_000_000.0)
    assert (first.source, first.connection_id, first.event, first.received) == (
        "massive",
        "connection_1",
        "T",
        rig.clock.time(),
    )
    health = rig.line()
    assert (health.state, health.status, health.message_count, health.assigned_tickers) == ("live", "connected", 2, 2)
    assert health.last_message_time == rig.clock.time()
    assert health.messages_per_second > 0


@pytest.mark.parametrize("ack", ["batched", "single"])
async def test_acknowledgements_batched_or_single(rig: Rig, ack: str) -> None:
    """Acknowledgements count whether they come in one frame or one by one."""
    rig.venue.script.ack = ack  # type: ignore[assignment]
    assert await rig.start("A B C D", channels=("T", "A"))
    assert rig.line().warnings == []


async def test_topics_are_asked_for_in_chunks(rig: Rig) -> None:
    """A thousand topics go out in several requests, and all are acknowledged."""
    tickers = " ".join(f"T{n}" for n in range(600))
    assert await rig.start(tickers, channels=("T", "A"))
    peer = rig.venue.peers[0]
    assert len(peer.topics) == 1200
    assert len(peer.requests) > 2
    assert max(request["params"].count(",") for request in peer.requests) < 500


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 4321])
async def test_a_close_is_an_ending_with_its_code(rig: Rig, code: int) -> None:
    """Whatever the close code, also the silent 1000, the line says so and comes back."""
    await rig.start("AAPL")
    await (await rig.venue.peer(1)).close(code, "because")
    health = await rig.until_ended(f"close_{code}")
    assert health.state == "disconnected"
    assert health.next_retry_at is not None
    assert "because" in (health.last_error or "")
    assert health.endings[-1].stage == "stream"
    await rig.clock.advance(1)
    await rig.venue.peer(2)
    assert (await rig.until_state("live")).reconnects == 1


async def test_a_dropped_connection_is_named_and_leaves_a_gap(rig: Rig) -> None:
    """A TCP drop is recorded as such, and the gap lasts from the last data to the first after it."""
    await rig.start("AAPL MSFT")
    peer = await rig.venue.peer(1, topics=2)
    await peer.send(trade("AAPL", 1))
    await rig.until(lambda: rig.ticks)
    start = rig.clock.time()
    peer.abort()
    await rig.until_ended("tcp_reset")
    await rig.clock.advance(1)
    again = await rig.venue.peer(2, topics=2)
    await again.send(trade("AAPL", 2))
    await rig.until(lambda: len(rig.ticks) == 2)
    assert rig.line().gaps == 1
    (gap,) = rig.manager.gap_windows("connection_1")
    assert (gap.start, gap.tickers) == (start, {"AAPL", "MSFT"})
    assert gap.until == rig.clock.time() > start


@pytest.mark.parametrize("code", [401, 403, 404, 503])
async def test_http_refusals(rig: Rig, code: int) -> None:
    """An HTTP answer instead of a WebSocket is named, with what to do."""
    rig.venue.script.http_status = code
    assert not await rig.start("AAPL")
    health = rig.line()
    assert health.endings[-1].cause == f"http_{code}"
    assert "Required:" in (health.last_error or "")


async def test_refused_and_unresolvable(rig: Rig) -> None:
    """A closed port and an unknown host are different causes."""
    async with Upstream() as other:
        closed = other.url
    assert not await rig.start("AAPL", url=closed)
    assert rig.line().endings[-1].cause == "refused"
    await rig.manager.disconnect()
    assert not await rig.start("AAPL", url="ws://no-such-host.invalid:1/stocks")
    assert rig.line().endings[-1].cause == "dns"


async def test_tls_against_a_plain_server(rig: Rig) -> None:
    """A server that does not speak TLS is a TLS failure, not a hang."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert not await rig.start("AAPL", url=f"wss://127.0.0.1:{port}/stocks")
    assert rig.line().endings[-1].cause == "tls"


async def test_connect_timeout(rig: Rig) -> None:
    """A venue that accepts and never upgrades is given up after the connect deadline."""
    rig.venue.script.hang = True
    rig.begin("AAPL")
    await rig.venue.until(lambda: rig.venue.attempts)
    await rig.clock.advance(9.9)
    assert rig.line().state == "connecting"
    await rig.clock.advance(0.2)
    assert (await rig.until_ended("connect_timeout")).endings[-1].stage == "connect"


async def test_greeting_timeout(rig: Rig) -> None:
    """A venue that upgrades and never greets is given up; no key was sent to it."""
    rig.venue.script.greet = False
    rig.begin("AAPL")
    await rig.until_state("greeting")
    await rig.clock.advance(5.1)
    assert (await rig.until_ended("greeting_timeout")).endings[-1].stage == "greeting"
    assert rig.venue.peers[0].requests == []


async def test_auth_timeout(rig: Rig) -> None:
    """A venue that does not answer the key is given up."""
    rig.venue.script.auth = "silent"
    rig.begin("AAPL")
    await rig.until_state("authenticating")
    await rig.clock.advance(5.1)
    assert (await rig.until_ended("auth_timeout")).endings[-1].stage == "auth"


async def test_unanswered_topics_are_a_warning(rig: Rig) -> None:
    """Topics that nobody acknowledges are listed after the deadline; the line stays up."""
    rig.venue.script.unknown = {"T.ZZZZ"}
    rig.begin("AAPL ZZZZ")
    peer = await rig.venue.peer(1)
    assert rig.line().state == "subscribing"
    await rig.clock.advance(11)
    health = await rig.until_state("live")
    assert any("T.ZZZZ" in text for text in health.warnings)
    assert len(rig.venue.peers) == 1
    await peer.send(trade("ZZZZ", 1))
    await rig.until(lambda: rig.ticks)
    assert rig.line().warnings == []


async def test_not_authorized_topics_are_refused(rig: Rig) -> None:
    """A topic outside the plan is shown and logged as refused although the venue does not name it; the others flow."""
    rig.venue.script.refused = {"T.MSFT"}
    with capture_logs() as lines:
        assert await rig.start("AAPL MSFT")
    assert [line["count"] for line in lines if line["event"] == "feed_venue_refused"] == [1]
    health = rig.line()
    assert health.refused_topics == ["T.MSFT"]
    assert any("T.MSFT" in text for text in health.warnings)
    assert health.state == "live"


@pytest.mark.parametrize("kind", ["failed", "plan"])
async def test_wrong_key_is_not_hammered(rig: Rig, kind: str) -> None:
    """After a refused key the line waits five minutes, says what to do, and does not show the key."""
    rig.venue.script.auth = kind  # type: ignore[assignment]
    assert not await rig.start("AAPL")
    health = rig.line()
    assert (health.state, health.status) == ("failed", "error")
    assert health.endings[-1].cause == "auth_failed"
    assert "MASSIVE_API_KEY" in (health.last_error or "")
    await rig.clock.advance(299)
    assert len(rig.venue.peers) == 1
    rig.venue.script.auth = "success"
    await rig.clock.advance(2)
    await rig.until_state("live")


@pytest.mark.parametrize("word", ["slow_consumer", "force_disconnect", "auth_timeout"])
async def test_words_that_end_the_connection(rig: Rig, word: str) -> None:
    """The venue's own word is the cause, not the close that follows."""
    await rig.start("AAPL")
    await (await rig.venue.peer(1)).send(status(word, "text unknown"))
    assert (await rig.until_ended(word)).status == "disconnected"


async def test_half_open_is_found(rig: Rig) -> None:
    """A peer that neither sends nor answers pings is given up within 20 seconds or so."""
    await rig.start("AAPL")
    (await rig.venue.peer(1)).stall()
    await rig.clock.advance(20)
    assert (await rig.until_ended("pong_timeout")).gaps == 1


async def test_an_answered_ping_keeps_the_line(rig: Rig) -> None:
    """A quiet peer that answers pings stays, for hours."""
    rig.clock = type(rig.clock)(WEEKEND)
    await rig.start("AAPL")
    await rig.pass_time(5, steps=40)
    assert rig.line().state == "market_closed"
    assert rig.line().endings == []


async def test_silence_in_session_is_stale_and_data_ends_it(rig: Rig) -> None:
    """A busy line that goes silent in session is stale; the next trade makes it live."""
    await rig.start("AAPL")
    peer = await rig.venue.peer(1)
    for q in range(1, 21):
        await peer.send(trade("AAPL", q))
        await rig.until(lambda q=q: len(rig.ticks) == q)
        await rig.clock.advance(0.1)
    await rig.pass_time(4, steps=3)
    assert (await rig.until_state("stale")).status == "connected"
    await peer.send(trade("AAPL", 30))
    await rig.until_state("live")


async def test_malformed_events_cost_themselves(rig: Rig) -> None:
    """Bad frames and events are counted with a sample, and logged seldom; everything good around them is published."""
    await rig.start("AAPL")
    peer = await rig.venue.peer(1)
    with capture_logs() as lines:
        await peer.send_raw(b"not json")
        await peer.send_raw(b'{"ev":"T"}')
        await peer.send_raw(b"\xff\xfe".decode("latin-1").encode())
        await peer.send({"no": "ev"}, trade("AAPL", 1), {"ev": "ZZ"}, trade("AAPL", 2, -5.0), trade("AAPL", 3))
        await peer.send_raw(b"[" + b"1," * 3_000_000 + b"1]")
        await peer.send(trade("AAPL", 4))
        await rig.until(lambda: len(rig.ticks) == 3)
    assert [line["count"] for line in lines if line["event"] == "feed_bad_events"] == [1]
    health = rig.line()
    assert health.parse_errors == health.error_count == 6
    assert health.last_bad_sample is not None
    assert health.last_bad_sample.startswith("oversized: [1,1")
    await rig.clock.advance(1.1)
    assert (await rig.until_state("degraded")).status == "connected"


async def test_duplicates_and_late_trades_are_dropped(rig: Rig) -> None:
    """A repeated or older sequence number is counted and not published; a jump is normal."""
    await rig.start("AAPL")
    peer = await rig.venue.peer(1)
    await peer.send(*(trade("AAPL", q) for q in (1, 2, 2, 9, 5, 10)))
    await rig.until(lambda: len(rig.ticks) == 4)
    health = rig.line()
    assert (health.duplicates, health.out_of_order, health.message_count, health.gaps) == (1, 1, 6, 0)


async def test_circuit_opens_after_eight_failures(rig: Rig) -> None:
    """After eight failures in a row the line probes only at the cap's pace."""
    rig.venue.script.http_status = 503
    rig.begin("AAPL")
    for number in range(1, 9):
        await rig.until(lambda number=number: len(rig.line().endings) == number)
        if number < 8:
            assert rig.line().state == "disconnected"
            await rig.reach_retry()
    health = await rig.until_state("open_circuit")
    assert (health.status, len(health.endings)) == ("error", 8)
    attempts = rig.venue.attempts
    await rig.clock.advance(29)
    assert rig.venue.attempts == attempts
    rig.venue.script.http_status = None
    await rig.clock.advance(2)
    await rig.until_state("live")


async def test_backoff_is_not_forgiven_by_a_login(rig: Rig) -> None:
    """Connections that die right after authentication do not reset the backoff."""
    rig.begin("AAPL")
    for number in range(1, 9):
        (await rig.venue.peer(number)).abort()
        await rig.until(lambda number=number: len(rig.line().endings) == number)
        if number < 8:
            await rig.reach_retry()
    assert "open_circuit" in {slot.state for s in rig.statuses for slot in s.connections.values()}


async def test_inspect(rig: Rig) -> None:
    """The raw frame behind a tick can be looked at; one that was never there cannot."""
    await rig.start("AAPL")
    await (await rig.venue.peer(1)).send(trade("MSFT", 1), trade("AAPL", 1, 5.5), status("note", f"key {KEY}"))
    await rig.until(lambda: len(rig.ticks) == 2)
    mine = rig.ticks[1]
    found = rig.manager.inspect("connection_1", mine.frame, "AAPL")
    assert found.verdict == "valid"
    assert '"p":5.5' in (found.decoded or "")
    assert '"AAPL"' in (found.event_raw or "")
    assert KEY not in found.raw
    for connection_id, frame in (("connection_1", 99), ("connection_9", 1)):
        with pytest.raises(NotFound):
            rig.manager.inspect(connection_id, frame, "AAPL")


async def test_the_key_appears_nowhere(rig: Rig) -> None:
    """Whatever the venue echoes, the key is masked in every report."""
    await rig.start("AAPL")
    peer = await rig.venue.peer(1)
    await peer.send_raw(f"garbage {KEY}".encode())
    await peer.send(status("error", f"bad {KEY}"))
    await peer.close(1011, f"sorry {KEY}")
    await rig.until_ended("close_1011")
    assert KEY not in str(rig.manager.get_health_status())
    assert KEY not in repr(vars(rig.manager))


async def test_a_raising_callback_does_not_cost_the_line(rig: Rig) -> None:
    """Ticks that the next floor refuses are counted as dropped; the line goes on."""
    calls = []

    def refuse(ticks: list[object]) -> None:
        calls.append(len(ticks))
        raise RuntimeError("the bus is full")

    await rig.start("AAPL", receive_ticks=refuse)
    peer = await rig.venue.peer(1)
    await peer.send(trade("AAPL", 1), trade("AAPL", 2))
    await peer.send(trade("AAPL", 3))
    # Answered after the frames before it were read.
    await peer.send(status("note", "read"))
    await rig.until(lambda: rig.line().dropped == 3)
    assert calls == [2, 1]
    assert rig.line().state == "live"
    assert rig.line().error_count == 3


async def test_fragmented_messages_are_joined(rig: Rig) -> None:
    """A message in several WebSocket frames is one frame of events."""
    await rig.start("AAPL")
    peer = await rig.venue.peer(1)

    async def parts():  # type: ignore[no-untyped-def]
        yield '[{"ev":"T","sym":"AA'
        yield 'PL","p":1.5,"t":1700000000000,"q":1}]'

    await peer.socket.send(parts())
    await rig.until(lambda: len(rig.ticks) == 1)
    assert rig.ticks[0].price == 1.5


async def test_a_huge_message_ends_the_connection(rig: Rig) -> None:
    """A message above 16 MiB is not buffered: the ending says so, and the line comes back."""
    await rig.start("AAPL")
    peer = await rig.venue.peer(1)
    with contextlib.suppress(ConnectionClosed):
        await peer.send_raw(b"[" + b" " * (16 * 1024 * 1024) + b"]")
    await rig.until_ended("frame_too_big")
    await rig.reach_retry()
    await rig.venue.peer(2)


async def test_subscription_changes_while_connecting_are_kept(rig: Rig) -> None:
    """Tickers that come and go before the venue has authenticated us are right from the first request."""
    rig.venue.script.greet = False
    rig.begin("AAPL OLD")
    await rig.until_state("greeting")
    assert rig.manager.subscribe(["MSFT"])
    rig.manager.unsubscribe(["OLD"])
    rig.venue.script.greet = True
    await rig.venue.peers[0].send(status("connected", "late"))
    peer = await rig.venue.peer(1, topics=2)
    assert peer.topics == {"T.AAPL", "T.MSFT"}
    assert [request["action"] for request in peer.requests] == ["auth", "subscribe"]


async def test_a_line_without_tickers_is_live_and_idle(rig: Rig) -> None:
    """Nothing to subscribe is not an error, and silence is not staleness."""
    assert await rig.start("")
    await rig.pass_time(8, steps=5)
    assert rig.line().state == "live"
    assert [request["action"] for request in rig.venue.peers[0].requests] == ["auth"]
