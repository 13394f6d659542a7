"""Commands over the bus: carried out in order, answered once, refused with a reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from tests.support.clock import HandClock
from tidewire.bus.memory import MemoryBus
from tidewire.bus.request import Requester
from tidewire.core.errors import NotFound
from tidewire.core.feed_status import FEED_COMMAND_CHANNEL, FEED_REPLY_PREFIX, FeedCommand, FeedReply, FrameInspection
from tidewire.market.commands import FeedCommands

REPLY_TO = FEED_REPLY_PREFIX + "node"
INSPECTION = FrameInspection(
    raw="[]", raw_bytes=2, truncated=False, received=1.0, event_raw=None, decoded=None, verdict="valid"
)


class ScriptedFeed:
    """A feed that notes what it was told; ``hold`` makes pausing take until it is set."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []
        self.hold = asyncio.Event()
        self.hold.set()

    async def pause(self, by: str, reason: str = "") -> None:
        """Note it once ``hold`` is set."""
        await self.hold.wait()
        self.told.append(("pause", by, reason))

    async def resume(self) -> None:
        """Fail in a way nobody foresaw."""
        raise RuntimeError("boom")

    def reconnect(self, connection_id: str) -> None:
        """Note it."""
        self.told.append(("reconnect", connection_id))

    def move(self, ticker: str, connection_id: str) -> None:
        """Note it."""
        self.told.append(("move", ticker, connection_id))

    def inspect(self, connection_id: str, frame: int, symbol: str) -> FrameInspection:
        """Know frame 7 only."""
        if frame != 7:
            raise NotFound("That frame has left the ring.", required_action="Inspect a newer tick.")
        return INSPECTION


class Bench:
    """Bus, commands and an asker."""

    def __init__(self) -> None:
        self.bus = MemoryBus(HandClock())
        self.feed = ScriptedFeed()
        self.fence: int | None = 0
        self.commands = FeedCommands(self.bus, self.feed, deadline_s=0.05, fence=lambda: self.fence)
        self.requester = Requester(self.bus, REPLY_TO)

    async def ask(self, number: str, **fields: object) -> FeedReply:
        """Send a command and return its reply."""
        command = msgspec.convert({"id": number, "reply_to": REPLY_TO, "by": "ann", **fields}, FeedCommand)
        payload = msgspec.json.encode(command)
        reply = await self.requester.ask(FEED_COMMAND_CHANNEL, number, payload, timeout_s=5.0)
        return msgspec.json.decode(reply, type=FeedReply)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Everything started, stopped afterwards."""
    made = Bench()
    await made.bus.start()
    made.requester.start()
    made.commands.start()
    yield made
    await made.commands.stop()
    await made.commands.stop()
    made.requester.stop()


async def test_pause_reaches_the_feed_with_who_and_why(bench: Bench) -> None:
    """The reply comes after the feed has done it."""
    reply = await bench.ask("1", op="pause", reason="maintenance")
    assert reply.ok
    assert bench.feed.told == [("pause", "ann", "maintenance")]


async def test_a_ping_is_answered_and_does_nothing(bench: Bench) -> None:
    """Whoever asks whether the feed is there gets an answer; the feed itself is not told."""
    reply = await bench.ask("1", op="ping")
    assert (reply.ok, reply.error, bench.feed.told) == (True, None, [])


async def test_inspection_is_returned_or_refused_with_the_feeds_reason(bench: Bench) -> None:
    """A known frame comes back whole; an unknown one is the feed's own error."""
    assert (await bench.ask("1", op="inspect", frame=7)).inspection == INSPECTION
    reply = await bench.ask("2", op="inspect", frame=8)
    assert not reply.ok
    assert reply.error is not None
    assert (reply.error["code"], reply.error["required_action"]) == ("not_found", "Inspect a newer tick.")


async def test_an_unforeseen_failure_is_answered_and_the_next_command_works(bench: Bench) -> None:
    """The listener survives; the asker learns that it failed, not why inside."""
    reply = await bench.ask("1", op="resume")
    assert reply.error is not None
    assert reply.error["code"] == "internal_error"
    assert "boom" not in reply.error["message"]
    assert (await bench.ask("2", op="pause")).ok


async def test_a_hanging_feed_is_told_as_outcome_unknown(bench: Bench) -> None:
    """The deadline ends the command; nobody is told that it failed for sure."""
    bench.feed.hold.clear()
    reply = await bench.ask("1", op="pause")
    assert reply.error is not None
    assert reply.error["code"] == "outcome_unknown"


@pytest.mark.parametrize(
    "payload",
    [
        b"nonsense",
        b"{}",
        b'{"id":"1","reply_to":"tidewire:feed:reply:x","op":"explode","by":"ann"}',
        b'{"id":"1","reply_to":"somewhere:else","op":"pause","by":"ann"}',
        b"\xff\xfe",
        pytest.param(b'{"id":"1","more":' + b"[" * 100_000, id="deep"),
    ],
    ids=str,
)
async def test_malformed_commands_are_counted_and_do_nothing(bench: Bench, payload: bytes) -> None:
    """Bad JSON, missing fields, unknown operations and foreign reply channels change nothing."""
    bench.bus.publish(FEED_COMMAND_CHANNEL, [payload])
    assert (await bench.ask("after", op="pause")).ok
    assert bench.commands.statistics() == {"done": 1, "failed": 0, "malformed": 1, "not_ours": 0, "waiting": 0}
    assert len(bench.feed.told) == 1


async def test_too_many_commands_are_refused_explicitly(bench: Bench) -> None:
    """Beyond the bound the asker is told at once instead of waiting in a queue without end."""
    bench.feed.hold.clear()
    asked = [asyncio.create_task(bench.ask(str(n), op="pause")) for n in range(70)]
    replies = await asyncio.gather(*asked[-4:])
    assert {reply.error["code"] for reply in replies if reply.error} == {"too_many_requests"}
    bench.feed.hold.set()
    await asyncio.gather(*asked)


async def test_a_line_is_reconnected_and_a_ticker_moved(bench: Bench) -> None:
    """Both reach the feed with what they name."""
    assert (await bench.ask("1", op="reconnect", connection_id="connection_2")).ok
    assert (await bench.ask("2", op="move", connection_id="connection_1", symbol="AAPL")).ok
    assert bench.feed.told == [("reconnect", "connection_2"), ("move", "AAPL", "connection_1")]


@pytest.mark.parametrize(
    ("leads_as", "meant", "answer"),
    [(7, 7, "ok"), (7, 6, "not_leader"), (7, 0, "not_leader"), (7, 8, "silence"), (None, 8, "silence")],
)
async def test_exactly_one_feed_answers(bench: Bench, leads_as: int | None, meant: int, answer: str) -> None:
    """The leader that is meant carries it out, its successor refuses for it, everybody else says nothing."""
    bench.fence = leads_as
    asked = asyncio.create_task(bench.ask("1", op="pause", fence=meant))
    bench.fence = leads_as
    if answer == "silence":
        await asyncio.sleep(0)
        assert bench.commands.statistics()["not_ours"] == 1
        asked.cancel()
    else:
        reply = await asked
        assert (reply.error or {"code": "ok"})["code"] == answer
    assert len(bench.feed.told) == (answer == "ok")


async def test_a_command_that_waited_while_the_lease_was_lost_is_refused(bench: Bench) -> None:
    """Who is no longer the leader when its turn comes does not carry it out, and says so."""
    bench.fence = 7
    bench.feed.hold.clear()
    first = asyncio.create_task(bench.ask("1", op="pause", fence=7))
    second = asyncio.create_task(bench.ask("2", op="pause", fence=7))
    await asyncio.sleep(0)
    bench.fence = None
    bench.feed.hold.set()
    await first
    reply = await second
    assert (reply.error or {})["code"] == "not_leader"
    assert len(bench.feed.told) <= 1
