"""Every fault of the menu, as a client meets it."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.feed.simulator.peer import CEILING_S, KEY, Peer, dialled, logged_in, running
from tests.support.clock import HandClock
from tidewire.core.errors import Conflict, InvalidRequest, NotFound
from tidewire.feed.simulator.config import ScriptedPress
from tidewire.feed.simulator.fault import FAULTS, MALFORMED


def is_trade(event: dict[str, object]) -> bool:
    """Whether it is a trade."""
    return event["ev"] == "T"


async def text_of(peer: Peer, wanted: bytes) -> bytes:
    """Return the first frame that is exactly ``wanted``; data may come before."""
    while True:
        frame = await peer.frame()
        raw = frame.encode() if isinstance(frame, str) else frame
        if raw == wanted:
            return raw


async def test_drop_cuts_tcp_without_a_close_frame() -> None:
    """Only the named connection dies, and its client sees no close code."""
    async with running(rate=5_000) as simulator, logged_in(simulator, "T.*") as one, logged_in(simulator, "T.*") as two:
        pressed = simulator.press("drop", {"connection": 1})
        assert (pressed.connections, pressed.done) == ([1], "TCP was cut without a close frame")
        assert (await one.closed())[0] is None
        await two.until(is_trade)
        assert simulator.state().counters.dropped == 1


async def test_mute_answers_pings_but_sends_nothing_until_unmute() -> None:
    """While muted no frame comes, not even an acknowledgement; afterwards the lost data stays lost."""
    clock = HandClock()
    async with running(clock, rate=1_000) as simulator, logged_in(simulator, "T.*") as peer:
        simulator.press("mute", {"connection": "all"})
        await peer.say("subscribe", "AM.AAPL")
        async with asyncio.timeout(CEILING_S):
            await (await peer.socket.ping())  # answered, and so the subscribe before it was read
        await clock.advance(2.0)
        assert simulator.state().connections[0].events == 0
        assert simulator.state().connections[0].muted
        simulator.press("unmute", {})
        await clock.advance(0.1)
        first = (await peer.events())[0]
        assert first["t"] >= int(clock.time() * 1_000) - 200


async def test_a_mute_for_some_seconds_ends_by_itself() -> None:
    """It says until when, and holds exactly that long."""
    clock = HandClock()
    async with running(clock, rate=1_000) as simulator, logged_in(simulator, "T.*,Q.*") as peer:
        pressed = simulator.press("mute", {"seconds": 1.0})
        assert pressed.until_s == pytest.approx(pressed.at_s + 1.0)
        await clock.advance(1.5)
        await peer.events()
        assert 480 <= simulator.state().connections[0].events <= 520


async def test_stall_leaves_even_pings_unanswered() -> None:
    """The pong comes only after unmute and for a later ping; what was said meanwhile was not read."""
    async with running() as simulator, logged_in(simulator) as peer:
        simulator.press("stall", {"connection": 1})
        unanswered = await peer.socket.ping()
        await peer.say("subscribe", "AM.AAPL")
        async with logged_in(simulator, "AM.FB"):  # a whole login later it is still unanswered
            assert not unanswered.done()
        assert simulator.state().connections[0].stalled
        simulator.press("unmute", {"connection": 1})
        async with asyncio.timeout(CEILING_S):
            await (await peer.socket.ping())
        assert simulator.state().connections[0].topics == 0


@pytest.mark.parametrize("variant", list(MALFORMED))
async def test_malformed_frames_of_each_kind(variant: str) -> None:
    """The frame arrives byte by byte as it is, and good data goes on after it."""
    async with running(rate=5_000) as simulator, logged_in(simulator, "T.*") as peer:
        simulator.press("malformed", {"variant": variant})
        if variant == "invalid_utf8":
            with pytest.raises(ConnectionClosed):  # the library itself gives up on it, as RFC 6455 8.1 says
                await text_of(peer, MALFORMED[variant])
            return
        assert await text_of(peer, MALFORMED[variant])
        await peer.until(is_trade)


async def test_auth_failed_hits_the_next_ones_only() -> None:
    """A right key fails as often as was pressed, and then works again."""
    async with running() as simulator:
        simulator.press("auth_failed", {"count": 2})
        for _ in range(2):
            async with dialled(simulator) as peer:
                await peer.events()
                await peer.say("auth", KEY)
                assert (await peer.closed())[1][0]["status"] == "auth_failed"
        async with logged_in(simulator):
            pass


@pytest.mark.parametrize(
    ("fault", "request_", "code", "status"),
    [
        ("max_connections", {}, 1008, "max_connections"),
        ("slow_consumer", {"message": "too slow"}, 1008, "slow_consumer"),
        ("force_disconnect", {"code": 1013}, 1013, "force_disconnect"),
        ("close", {"code": 1000}, 1000, None),
        ("close", {"code": 4999}, 4999, None),
        ("close", {}, 1011, None),
    ],
)
async def test_endings(fault: str, request_: dict[str, object], code: int, status: str | None) -> None:
    """Each ending says its status, if it has one, then closes with its code."""
    async with running() as simulator, logged_in(simulator, "AM.*") as peer:
        simulator.press(fault, {"connection": 1, **request_})
        got, statuses = await peer.closed()
        assert got == code
        assert [event["status"] for event in statuses] == ([] if status is None else [status])
        assert "message" not in request_ or statuses[0]["message"] == request_["message"]


async def test_burst_multiplies_the_rate_for_a_while() -> None:
    """Ten times the events for two seconds, then the old rate, to the event."""
    clock = HandClock()
    async with running(clock, rate=100) as simulator:
        assert "1000 events/s" in simulator.press("burst", {"factor": 10, "seconds": 2}).done
        await clock.advance(3.0)
        assert simulator.state().market.events == 2_000 + 100
        assert simulator.state().market.rate == 100


async def test_oversized_is_as_big_as_asked_and_valid() -> None:
    """A valid array above 1 MiB; a client with the default limit closes with 1009."""
    async with running() as simulator:
        async with logged_in(simulator) as peer:
            simulator.press("oversized", {"bytes": 2_000_000})
            frame = await peer.frame()
            assert len(frame) == 2_000_000
            assert isinstance(json.loads(frame), list)
        async with logged_in(simulator, max_size=2**20) as strict:
            simulator.press("oversized", {})
            with pytest.raises(ConnectionClosed):
                await strict.frame()


async def test_non_array_and_unknown_event() -> None:
    """An object instead of an array, and an event of a type that nobody knows."""
    async with running() as simulator, logged_in(simulator) as peer:
        simulator.press("non_array", {})
        assert json.loads(await peer.frame())["ev"] == "T"
        simulator.press("unknown_event", {})
        assert (await peer.events())[0]["ev"] == "ZZ"


async def test_duplicate_sends_the_last_frame_again() -> None:
    """The same bytes come twice in a row."""
    clock = HandClock()
    async with running(clock, rate=1_000) as simulator, logged_in(simulator, "T.*") as peer:
        with pytest.raises(Conflict, match="No event has been sent"):
            simulator.press("duplicate", {})
        await clock.advance(0.5)
        simulator.press("duplicate", {})
        await clock.advance(0.02)
        frames = [await peer.frame() for _ in range(simulator.state().connections[0].frames - 3)]
        assert any(a == b for a, b in pairwise(frames))


async def test_out_of_order_makes_q_fall_once() -> None:
    """Some ticker's sequence number falls, nothing is lost or doubled, and order returns."""
    clock = HandClock()
    async with running(clock, rate=300) as simulator, logged_in(simulator, "T.*,Q.*") as peer:
        await clock.advance(0.2)
        simulator.press("out_of_order", {})
        await clock.advance(2.0)
        events = []
        while len(events) < simulator.state().connections[0].events:
            events += await peer.events()
    falls = 0
    for symbol in {event["sym"] for event in events}:
        numbers = [event["q"] for event in events if event["sym"] == symbol]
        assert len(set(numbers)) == len(numbers)
        falls += sum(b < a for a, b in pairwise(numbers))
    assert falls >= 1
    assert falls <= 10


async def test_resend_bar_corrects_a_bar_that_was_sent() -> None:
    """The same ticker, type and start come again with more volume; before the first bar it is refused."""
    clock = HandClock()
    async with running(clock, rate=500) as simulator, logged_in(simulator, "A.FB") as peer:
        with pytest.raises(Conflict):
            simulator.press("resend_bar", {})
        await clock.advance(1.9)
        first = await peer.until(lambda event: event["ev"] == "A")
        simulator.press("resend_bar", {"ticker": "FB"})
        again = await peer.until(lambda event: event["ev"] == "A")
        assert (again["sym"], again["s"], again["c"]) == (first["sym"], first["s"], first["c"])
        assert (again["v"], again["av"]) == (first["v"] + 100, first["av"] + 100)
        assert again["dv"] == f"{again['v']}.0"
        with pytest.raises(Conflict):
            simulator.press("resend_bar", {"ticker": "AAPL"})


async def test_refuse_answers_the_next_handshakes_with_http() -> None:
    """The pressed status for the pressed number of handshakes, then 101 again."""
    async with running() as simulator:
        simulator.press("refuse", {"status": 403, "count": 2})
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught:
                async with dialled(simulator):
                    pass
            assert caught.value.response.status_code == 403
        async with logged_in(simulator):
            assert simulator.state().counters.refused_handshakes == 2


async def test_a_script_presses_at_its_time_and_the_log_can_be_played_again() -> None:
    """Faults in the configuration happen at market time; what was pressed is shown in the same form."""
    clock = HandClock()
    script = (ScriptedPress(0.5, "drop", {}), ScriptedPress(0.2, "burst", {"factor": 2, "seconds": 0.1}))
    async with running(clock, rate=1_000, script=script) as simulator, logged_in(simulator, "T.*") as peer:
        await clock.advance(0.6)
        assert (await peer.closed())[0] is None
        assert simulator.state().presses == sorted(script, key=lambda press: press.at_s)
        assert simulator.state().market.events == 600 + 100


async def test_a_script_without_anybody_there_goes_on() -> None:
    """A scripted drop with nobody connected is logged, and time passes on."""
    clock = HandClock()
    async with running(clock, rate=1_000, script=(ScriptedPress(0.1, "drop", {}),)) as simulator:
        await clock.advance(1.0)
        assert simulator.state().market.events == 1_000


@pytest.mark.parametrize(
    "request_",
    [
        {"conection": 1},
        {"connection": "first"},
        {"connection": 1.5},
        {"seconds": -1},
        {"seconds": "long"},
        {"code": 1005},
        {"code": 2000},
        {"code": 99},
        {"count": 0},
        {"factor": 1000},
        {"status": 200},
        {"status": 499},
        {"variant": "odd"},
        {"bytes": 10**9},
        {"message": "x" * 2_000},
        ["drop"],
        None,
    ],
)
async def test_a_press_that_cannot_be_read_presses_nothing(request_: object) -> None:
    """A typo, a wrong type or an absurd number is an error with its three sentences."""
    async with running() as simulator, logged_in(simulator) as peer:
        for fault in ("close", "burst"):
            with pytest.raises(InvalidRequest) as caught:
                simulator.press(fault, request_)
            assert all(caught.value.describe().values())
        await peer.subscribe("AM.AAPL")
        assert simulator.state().presses == []


async def test_unknown_faults_and_connections_are_named() -> None:
    """Neither is guessed; the answer lists what there is."""
    async with running() as simulator:
        with pytest.raises(NotFound) as caught:
            simulator.press("dorp", {})
        assert all(fault in caught.value.required_action for fault in FAULTS)
        for request_ in ({"connection": 7}, {}):
            with pytest.raises(NotFound, match="connection"):
                simulator.press("drop", request_)
