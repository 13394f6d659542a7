"""A feed that waits says so, and remembers what an operator has told the one that leads."""

from __future__ import annotations

import msgspec

from tests.support.admin import feed_status
from tests.support.bus import Inbox
from tests.support.clock import HandClock
from tidewire.bus.memory import MemoryBus
from tidewire.core.feed_status import FEED_STANDBY_CHANNEL, FEED_STATUS_CHANNEL, FeedPause, FeedStandby
from tidewire.market.standby import StandbyPost


async def test_it_speaks_every_second_until_it_is_its_turn() -> None:
    """At once, then each second, with who leads and why it waits; nothing after stop, and again after start."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    inbox = Inbox()
    bus.subscribe(FEED_STANDBY_CHANNEL, inbox.receive)
    post = StandbyPost(bus, clock, node="two", describe=lambda: ("one", "one leads"))
    post.start()
    await clock.advance(2.0)
    assert len(inbox.payloads) == 3
    said = msgspec.json.decode(inbox.payloads[0], type=FeedStandby)
    assert said == FeedStandby(node="two", since=clock.time() - 2, holder="one", reason="one leads")
    await post.stop()
    await post.stop()
    await clock.advance(5.0)
    assert len(inbox.payloads) == 3
    post.start()
    assert len(inbox.payloads) == 4
    await bus.stop()
    await clock.advance(1.0)
    assert post.unsaid == 1
    await post.stop()


async def test_it_remembers_a_pause_and_its_end() -> None:
    """The leader's last word on the pause counts; what it said before we waited does not; nonsense changes nothing."""
    clock = HandClock()
    bus = MemoryBus(clock)
    await bus.start()
    post = StandbyPost(bus, clock, node="two", describe=lambda: ("", ""))
    pause = FeedPause("ann", 1.0, "storm")
    status = feed_status(clock.time())
    post.start()
    assert not post.has_heard
    bus.publish(FEED_STATUS_CHANNEL, [msgspec.json.encode(msgspec.structs.replace(status, paused=pause))])
    for nonsense in (b"nonsense", b'{"more":' + b"[" * 100_000):
        bus.publish(FEED_STATUS_CHANNEL, [nonsense])
    assert bus.status().callback_errors == 0
    assert (post.has_heard, post.paused) == (True, pause)
    bus.publish(FEED_STATUS_CHANNEL, [msgspec.json.encode(status)])
    assert (post.has_heard, post.paused) == (True, None)
    await post.stop()
    post.start()
    assert not post.has_heard
    await post.stop()
