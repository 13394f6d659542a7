"""What a client sees of the venue besides data: greeting, keys, topics, limits, endings (feed-protocol.md 1.2-1.4)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as sockets
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.feed.simulator.peer import CEILING_S, KEY, Peer, dialled, logged_in, running
from tests.support.clock import HandClock
from tidewire.core.errors import SettingsError
from tidewire.feed.simulator import Simulator, SimulatorConfig


def messages(events: list[dict[str, Any]]) -> list[str]:
    """Return the messages of a frame's statuses."""
    return [event["message"] for event in events if event["ev"] == "status"]


async def test_the_venue_speaks_first() -> None:
    """The greeting comes before anything is sent, as an array of one status."""
    async with running() as simulator, dialled(simulator) as peer:
        assert await peer.events() == [{"ev": "status", "status": "connected", "message": "Connected Successfully"}]


@pytest.mark.parametrize(
    ("key", "words"),
    [("wrong", "authentication failed"), ("", "authentication failed"), ("free", "plan doesn't include")],
)
async def test_a_refused_key_is_told_then_cut_without_a_close_frame(key: str, words: str) -> None:
    """auth_failed is the first status of the frame after auth, and then TCP ends without a goodbye."""
    async with running(no_plan_keys=("free",)) as simulator, dialled(simulator) as peer:
        await peer.events()
        await peer.say("auth", key)
        code, statuses = await peer.closed()
        assert code is None
        assert statuses[0]["status"] == "auth_failed"
        assert words in statuses[0]["message"]
        assert simulator.state().counters.auth_failed == 1


async def test_topics_of_one_request_are_acknowledged_in_one_frame() -> None:
    """Each topic has its own status, and they come batched."""
    async with running() as simulator, logged_in(simulator) as peer:
        await peer.say("subscribe", "AM.AAPL, AM.BRK.B,AM.*")
        assert messages(await peer.events()) == [
            "subscribed to: AM.AAPL",
            "subscribed to: AM.BRK.B",
            "subscribed to: AM.*",
        ]


async def test_acknowledgements_can_come_one_by_one() -> None:
    """As the vendor's own mock does it."""
    async with running(acks="single") as simulator, logged_in(simulator) as peer:
        await peer.say("subscribe", "AM.AAPL,AM.IBM")
        assert messages(await peer.events()) == ["subscribed to: AM.AAPL"]
        assert messages(await peer.events()) == ["subscribed to: AM.IBM"]


async def test_what_the_venue_leaves_unanswered() -> None:
    """An unknown topic, a duplicate and a topic that was never subscribed get no answer at all."""
    async with running() as simulator, logged_in(simulator, "AM.IBM") as peer:
        for action, params in (
            ("subscribe", "ZZ.AAPL,nonsense,.,T."),
            ("subscribe", "AM.IBM"),
            ("unsubscribe", "Q.FB"),
        ):
            await peer.say(action, params)
        await peer.say("subscribe", "AM.FB")
        assert messages(await peer.events()) == ["subscribed to: AM.FB"]


async def test_an_unknown_ticker_is_acknowledged_then_silent() -> None:
    """And so is a channel that exists but has no data here; a known one of the same request flows."""
    async with running(rate=5_000) as simulator, logged_in(simulator) as peer:
        await peer.say("subscribe", "T.NOSUCH,LULD.AAPL,T.IBM")
        assert len(messages(await peer.events())) == 3
        for _ in range(20):
            assert {(event["ev"], event["sym"]) for event in await peer.events()} == {("T", "IBM")}


async def test_a_topic_outside_the_plan_is_refused_alone() -> None:
    """The refusal names no topic, and the other topics of the request succeed."""
    async with running(not_authorized=("Q",)) as simulator, logged_in(simulator) as peer:
        await peer.say("subscribe", "Q.AAPL,AM.AAPL")
        assert [(e["status"], e["message"]) for e in await peer.events()] == [
            ("error", "not authorized"),
            ("success", "subscribed to: AM.AAPL"),
        ]


async def test_a_wildcard_and_a_ticker_deliver_each_event_once() -> None:
    """T.* beside T.AAPL doubles nothing; without T.* only T.AAPL is left."""
    async with running(rate=5_000) as simulator, logged_in(simulator, "T.AAPL") as peer:
        await peer.subscribe("T.*")
        seen = [(e["sym"], e["i"]) for _ in range(20) for e in await peer.events() if e["ev"] == "T"]
        assert len(seen) == len(set(seen))
        assert len({symbol for symbol, _ in seen}) > 1
        await peer.say("unsubscribe", "T.*")
        await peer.until(lambda e: e["ev"] == "status" and e["message"] == "unsubscribed to: T.*")
        await peer.subscribe("T.FB")
        assert {e["sym"] for _ in range(10) for e in await peer.events()} == {"FB"}


async def test_events_come_in_arrays_of_several() -> None:
    """At a high rate a frame holds many events, and never more than the limit."""
    async with running(rate=20_000, max_frame_events=50) as simulator, logged_in(simulator, "T.*,Q.*") as peer:
        sizes = [len(await peer.events()) for _ in range(20)]
    assert max(sizes) == 50


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"auth"', '{"action":"auth"}', '{"action":1,"params":"x"}', "\ud7ff" * 9]
)
async def test_a_message_that_is_none_gets_an_error_and_costs_nothing(text: str) -> None:
    """The connection goes on: the same client can still log in."""
    async with running() as simulator, dialled(simulator) as peer:
        await peer.events()
        await peer.socket.send(text)
        assert "invalid message" in (await peer.status("error"))["message"]
        await peer.say("auth", KEY)
        await peer.status("auth_success")
        assert simulator.state().counters.bad_messages == 1


async def test_binary_messages_and_bad_utf8_are_survived() -> None:
    """Bytes that are no text are an invalid message as well."""
    async with running() as simulator, dialled(simulator) as peer:
        await peer.events()
        await peer.socket.send(b'\xff\xfe{"action"')
        await peer.status("error")


async def test_an_unknown_action_gets_an_error() -> None:
    """Only auth, subscribe and unsubscribe exist."""
    async with running() as simulator, logged_in(simulator) as peer:
        await peer.say("resubscribe", "T.*")
        assert (await peer.status("error"))["message"] == "unknown action"


async def test_nothing_is_subscribed_before_auth() -> None:
    """The request is refused, and logging in afterwards does not revive it."""
    async with running() as simulator, dialled(simulator) as peer:
        await peer.events()
        await peer.say("subscribe", "T.*")
        assert (await peer.status("error"))["message"] == "authentication required"
        await peer.say("auth", KEY)
        await peer.status("auth_success")
        assert simulator.state().connections[0].topics == 0


async def test_an_oversized_client_message_is_closed_with_1009() -> None:
    """In one frame or in many, a message above the limit ends its connection and no other."""
    async with running(rate=5_000) as simulator, logged_in(simulator, "T.*") as bystander:
        async with logged_in(simulator) as peer:
            await peer.say("subscribe", "T.X," * 100_000)
            assert (await peer.closed())[0] == 1009
        async with logged_in(simulator) as peer:
            with contextlib.suppress(ConnectionClosed):  # the close may come before the last fragment is out
                await peer.socket.send("T.X," * 10_000 for _ in range(40))
            assert (await peer.closed())[0] == 1009
        assert await bystander.events()


async def test_a_message_in_fragments_is_put_together() -> None:
    """A subscribe sent in three frames is one subscribe."""
    async with running() as simulator, logged_in(simulator) as peer:
        await peer.socket.send(iter(['{"action":"subscr', 'ibe","params":"AM.', 'IBM"}']))
        assert messages(await peer.events()) == ["subscribed to: AM.IBM"]


async def test_only_the_stocks_path_is_served() -> None:
    """Another market's path answers HTTP 404; a query string does no harm."""
    async with running() as simulator:
        for path in ("/options", "/", "/stocks/x"):
            with pytest.raises(InvalidStatus) as caught:
                async with dialled(simulator, path):
                    pass
            assert caught.value.response.status_code == 404
        async with dialled(simulator, "/stocks?x=1") as peer:
            assert await peer.events()


async def test_a_connection_that_never_authenticates_is_timed_out() -> None:
    """After the time limit it is told auth_timeout and closed with 1008."""
    clock = HandClock()
    async with running(clock, auth_timeout_s=3.0) as simulator, dialled(simulator) as peer, dialled(simulator) as other:
        await other.log_in()
        await peer.events()
        await clock.advance(3.1)
        code, statuses = await peer.closed()
        assert (code, statuses[0]["status"]) == (1008, "auth_timeout")
        await other.subscribe("AM.AAPL")


async def test_a_close_that_the_peer_ignores_is_cut_after_the_linger() -> None:
    """A peer that answers no close frame does not stay for ever."""
    clock = HandClock()
    async with running(clock, auth_timeout_s=1.0, close_linger_s=1.0) as simulator:
        reader, writer = await shake_hands(simulator)
        await clock.advance(1.1)
        assert simulator.state().connections[0].stage == "closing"
        await clock.advance(1.1)
        async with asyncio.timeout(CEILING_S):
            await reader.read()
        writer.close()
        assert simulator.state().connections == []


async def test_a_reader_that_stops_is_a_slow_consumer() -> None:
    """Once its unsent bytes pass the limit it is told and closed; a connection that reads goes on."""
    clock = HandClock()
    async with (
        running(clock, rate=50_000, max_buffer_bytes=1_000_000, close_linger_s=60.0) as simulator,
        logged_in(simulator, "A.FB") as healthy,
    ):
        reader, writer = await shake_hands(simulator)
        for text in (f'{{"action":"auth","params":"{KEY}"}}', '{"action":"subscribe","params":"T.*,Q.*"}'):
            writer.write(masked(text.encode()))
        while simulator.state().counters.slow_consumers == 0:
            await clock.advance(0.2)
        raw = bytearray()
        async with asyncio.timeout(CEILING_S):
            while b"slow_consumer" not in raw:
                raw += await reader.read(65_536)
                del raw[:-500_000]
        writer.close()
        await clock.advance(1.1)
        await healthy.until(lambda event: event["ev"] == "A")


async def test_the_rate_over_real_sockets_is_exact() -> None:
    """Three clients that want everything get every event of ten seconds, each exactly once."""
    clock = HandClock()
    async with running(clock, rate=997, max_connections=3) as simulator, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(logged_in(simulator, "T.*,Q.*,A.*,AM.*")) for _ in range(3)]
        await clock.advance(10.0)
        counts = [await count(peer, 9_970) for peer in peers]
        assert counts == [9_970] * 3
        assert [c.events for c in simulator.state().connections] == counts
        assert simulator.state().market.skipped_s == 0.0


async def test_the_same_seed_sends_the_same_bytes() -> None:
    """Two simulators with one seed and one clock send the same frames; another seed sends others."""

    async def listen(seed: int) -> list[str | bytes]:
        clock = HandClock()
        async with running(clock, rate=2_000, seed=seed) as simulator, logged_in(simulator, "T.*,Q.*") as peer:
            await clock.advance(0.5)
            return [await peer.frame() for _ in range(50)]

    assert await listen(7) == await listen(7)
    assert await listen(7) != await listen(8)


async def test_a_port_that_is_taken_ends_the_start_with_a_sentence() -> None:
    """For the WebSocket port and for the control port alike, and nothing stays open."""
    with sockets.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for ports in ({"port": port}, {"control_port": port}):
            simulator = Simulator(SimulatorConfig(tickers=5, **ports))
            with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"):
                await simulator.start()
            await simulator.stop()


async def test_start_and_stop_are_orderly() -> None:
    """A second start is refused, a stop says 1001 to everyone, and a second stop does nothing."""
    async with running() as simulator:
        with pytest.raises(RuntimeError, match="already"):
            await simulator.start()
        async with logged_in(simulator, "AM.*") as peer:
            await simulator.stop()
            assert (await peer.closed())[0] == 1001
        await simulator.stop()
        with pytest.raises(RuntimeError, match="not started"):
            _ = simulator.port


class SteppedClock(HandClock):
    """A clock whose wall time can be stepped, as an operator or NTP does."""

    step_s = 0.0

    def time(self) -> float:
        """Return wall time with the step."""
        return super().time() + self.step_s


async def test_timestamps_follow_a_stepped_wall_clock() -> None:
    """After a step of an hour the events carry the new time, and not one event more or less is made."""
    clock = SteppedClock()
    async with running(clock, rate=1_000) as simulator, logged_in(simulator, "T.*") as peer:
        await clock.advance(0.5)
        clock.step_s = 3_600.0
        await clock.advance(0.5)
        stepped_ms = (clock.time() - 0.5) * 1_000
        assert (await peer.until(lambda event: event["t"] > stepped_ms - 1_000))["t"] >= stepped_ms - 20
        assert simulator.state().market.events == 1_000


class BrokenClock(HandClock):
    """A clock that cannot wait."""

    async def sleep(self, delay_s: float) -> None:
        """Fail."""
        raise RuntimeError("no time")


async def test_a_loop_that_dies_says_so() -> None:
    """The failure reaches whoever watches, and stopping still works."""
    async with running(BrokenClock()) as simulator:
        with pytest.raises(RuntimeError, match="no time"):
            await simulator.wait_failed()


async def count(peer: Peer, enough: int) -> int:
    """Count data events until there are ``enough``."""
    total = 0
    while total < enough:
        total += sum(event["ev"] != "status" for event in await peer.events())
    return total


async def shake_hands(simulator: Simulator) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Upgrade a bare TCP connection, whose client then does nothing of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port, limit=4_096)
    writer.write(
        b"GET /stocks HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def masked(payload: bytes) -> bytes:
    """Return a short text frame of a client, masked with zeros."""
    assert len(payload) < 126
    return bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def test_the_hand_made_frame_is_a_text_frame() -> None:
    """The helper above makes what RFC 6455 5.2 says."""
    assert masked(json.dumps({}).encode()) == b"\x81\x82\x00\x00\x00\x00{}"
