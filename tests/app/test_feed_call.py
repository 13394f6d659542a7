"""Asking the feed that leads: nobody to ask, an answer, and one that nobody can read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import msgspec
import pytest

from tests.support.admin import feed_status
from tests.support.clock import HandClock
from tidewire.app.feed_call import FeedCall
from tidewire.bus.memory import MemoryBus
from tidewire.core.errors import BusError, Unavailable
from tidewire.core.feed_status import FEED_COMMAND_CHANNEL, FEED_STATUS_CHANNEL, FeedCommand
from tidewire.monitoring.feed_monitor import FeedMonitor


@dataclass
class Line:
    """A caller, and a feed that answers ``reply`` with the command's id put in."""

    bus: MemoryBus
    clock: HandClock
    call: FeedCall
    reply: bytes = b'{"id":"ID","ok":true}'
    asked: list[FeedCommand] = field(default_factory=list)

    def report(self) -> None:
        """Say that the feed is there."""
        self.bus.publish(FEED_STATUS_CHANNEL, [msgspec.json.encode(feed_status(self.clock.time()))])

    def answer(self, _: str, payloads: Sequence[bytes]) -> None:
        """Answer each command."""
        for payload in payloads:
            command = msgspec.json.decode(payload, type=FeedCommand)
            self.asked.append(command)
            self.bus.publish(command.reply_to, [self.reply.replace(b"ID", command.id.encode())])


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """Started, without a feed that has reported."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    monitor = FeedMonitor(bus=bus, clock=clock)
    made = Line(bus, clock, FeedCall(bus, monitor, "n1"))
    bus.subscribe(FEED_COMMAND_CHANNEL, made.answer)
    monitor.start()
    made.call.start()
    yield made
    made.call.stop()
    await monitor.stop()
    await bus.stop()


async def test_without_a_feed_nothing_is_sent(line: Line) -> None:
    """Before the first report and after it has fallen silent; in between it is asked, and its reply returned."""
    with pytest.raises(Unavailable) as caught:
        await line.call("ping", by="ann")
    assert (caught.value.code, line.asked) == ("feed_absent", [])
    line.report()
    assert (await line.call("ping", by="ann")).ok
    assert [(command.op, command.by) for command in line.asked] == [("ping", "ann")]
    await line.clock.advance(60.0)
    with pytest.raises(Unavailable):
        await line.call("ping", by="ann")
    assert len(line.asked) == 1


@pytest.mark.parametrize("reply", [b'{"id":"ID"}', b'{"id":"ID","ok":"yes"}', b'{"id":"ID","ok":true,"error":"why"}'])
async def test_a_reply_that_cannot_be_read_is_an_outcome_that_nobody_knows(line: Line, reply: bytes) -> None:
    """A feed of another version has answered: in three sentences, and neither as done nor as a fault of ours."""
    line.report()
    line.reply = reply
    with pytest.raises(BusError) as caught:
        await line.call("pause", by="ann", reason="storm")
    assert caught.value.code == "outcome_unknown"
    assert "cannot be read" in caught.value.message
    assert len(line.asked) == 1
