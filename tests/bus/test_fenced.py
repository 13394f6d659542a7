"""Only the feed that leads is heard: numbers that are lower than one already seen are dropped, counted and told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.bus import Inbox
from tests.support.clock import HandClock
from tidewire.bus.fenced import FencedBus
from tidewire.bus.memory import MemoryBus
from tidewire.core.fence import FenceGate, fence_of, tail_of


def stamped(fence: int, text: str = "x") -> bytes:
    """Return a message as a feed with that number publishes it."""
    return f'{{"type":"market_tick","symbol":"{text}"'.encode() + tail_of(fence)


def test_messages_of_a_replaced_feed_are_dropped() -> None:
    """The highest number wins from its first message on, also in the middle of a batch; none at all is let through."""
    gate = FenceGate()
    old, new, other = stamped(5), stamped(6), b'{"type":"market_tick","symbol":"own"}'
    assert gate.admit([old, old]) == [old, old]
    assert gate.admit([old, new, old, other]) == [old, new, other]
    assert gate.admit([old]) == []
    assert (gate.highest, gate.refused) == (6, 2)


def test_what_was_known_before_counts() -> None:
    """A process that has just begun and knows the newest number does not believe an older feed; nothing lowers it."""
    gate = FenceGate()
    gate.raise_to(9)
    gate.raise_to(3)
    assert gate.admit([stamped(8), stamped(9)]) == [stamped(9)]


@pytest.mark.parametrize(
    ("payload", "fence"),
    [
        (b'{"fence":7,"connections":{}}', 7),
        (b'{"a":{"fence":7}}', 0),
        (b'{"symbol":"\\"fence\\":7"}', 0),
        (b'{"fence":"7"}', 0),
        (b'{"fence":7', 0),
        (b'\xff"fence":7}', 0),
        (b'{"a":' * 2000 + b'{"fence":1}', 0),
        (b"", 0),
    ],
)
def test_a_number_is_read_only_where_it_stands(payload: bytes, fence: int) -> None:
    """The message's own member counts, in any place; broken messages have none, their reader says what is wrong."""
    assert fence_of(payload) == fence


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), max_size=40))
def test_what_is_taken_never_goes_back(batches: list[tuple[int, int]]) -> None:
    """Whatever arrives in whatever batches, the numbers taken never fall, and nothing of the newest is lost."""
    gate = FenceGate()
    sent = [fence for fence, count in batches for _ in range(count)]
    taken: list[bytes] = []
    for fence, count in batches:
        taken += gate.admit([stamped(fence)] * count)
    numbers = [found for found in map(fence_of, taken) if found]
    assert numbers == sorted(numbers)
    newest = max(sent, default=0)
    assert numbers.count(newest) == (sent.count(newest) if newest else 0)
    assert len(taken) + gate.refused == len(sent)


@pytest.fixture
async def bus() -> Any:
    """A fenced in-process bus with two fenced channels."""
    made = FencedBus(MemoryBus(HandClock()), ("ticks", "status"), HandClock())
    await made.start()
    yield made
    await made.stop()


async def test_both_channels_share_the_number_and_others_are_left_alone(bus: FencedBus) -> None:
    """A status with a higher number ends the old feed's ticks; a channel that is not fenced carries anything."""
    ticks, status, free = Inbox(), Inbox(), Inbox()
    subscriptions = [
        bus.subscribe("ticks", ticks.receive),
        bus.subscribe("status", status.receive),
        bus.subscribe("free", free.receive),
    ]
    for subscription in subscriptions:
        await subscription.ready()
    with capture_logs() as logs:
        bus.publish("ticks", [stamped(5)])
        bus.publish("status", [stamped(6)])
        bus.publish("ticks", [stamped(5), stamped(6)])
        bus.publish("free", [stamped(5)])
    assert ticks.payloads == [stamped(5), stamped(6)]
    assert (len(status.payloads), len(free.payloads)) == (1, 1)
    assert [(line["event"], line["count"]) for line in logs] == [("feed_fenced", 1)]
    for subscription in subscriptions:
        subscription.close()
        subscription.close()
    bus.publish("ticks", [stamped(7)])
    assert len(ticks.payloads) == 2


async def test_a_refused_message_is_counted_once_however_many_listen(bus: FencedBus) -> None:
    """The gate stands before the fan-out, not behind it."""
    inboxes = [Inbox(), Inbox(), Inbox()]
    for inbox in inboxes:
        bus.subscribe("ticks", inbox.receive)
    bus.publish("ticks", [stamped(2), stamped(1)])
    assert [inbox.payloads for inbox in inboxes] == [[stamped(2)]] * 3
    assert bus.gate.refused == 1
