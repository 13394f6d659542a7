"""What every bus promises: the same tests against the in-process one and the one over a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from tests.support.bus import Inbox
from tidewire.bus.base import Bus, Subscription
from tidewire.core.errors import BusError


async def _listen(bus: Bus, channel: str) -> tuple[Inbox, Subscription]:
    inbox = Inbox()
    subscription = bus.subscribe(channel, inbox.receive)
    await subscription.ready()
    return inbox, subscription


async def test_messages_arrive_in_order(bus: Bus, channel: str) -> None:
    """Ten thousand messages in uneven calls arrive once each, in the order they were published."""
    inbox, _ = await _listen(bus, channel)
    sent = [b"%d" % number for number in range(10_000)]
    position, size = 0, 1
    while position < len(sent):
        bus.publish(channel, sent[position : position + size])
        position += size
        size = size % 97 + 1
    assert await inbox.wait(len(sent)) == sent
    assert {name for name, _ in inbox.batches} == {channel}


async def test_a_call_with_many_messages_is_handed_over_in_batches(bus: Bus, channel: str) -> None:
    """What arrives together reaches the callback together, not one call per message."""
    inbox, _ = await _listen(bus, channel)
    bus.publish(channel, [b"x"] * 5_000)
    await inbox.wait(5_000)
    assert len(inbox.batches) < 2_500


async def test_every_subscriber_gets_every_message(bus: Bus, channel: str) -> None:
    """Several callbacks on one channel each get all messages."""
    inboxes = [(await _listen(bus, channel))[0] for _ in range(3)]
    bus.publish(channel, [b"a", b"b"])
    for inbox in inboxes:
        assert await inbox.wait(2) == [b"a", b"b"]


async def test_channels_do_not_mix(bus: Bus, channel: str) -> None:
    """A subscriber sees its own channel only, also where one name is the beginning of the other."""
    mine, _ = await _listen(bus, channel)
    other, _ = await _listen(bus, channel + ":*")
    bus.publish(channel, [b"mine"])
    bus.publish(channel + ":*", [b"other"])
    bus.publish(channel, [b"last"])
    assert await mine.wait(2) == [b"mine", b"last"]
    assert await other.wait(1) == [b"other"]


async def test_close_ends_deliveries_at_once_and_twice_is_once(bus: Bus, channel: str) -> None:
    """After close() nothing arrives; the neighbour still gets everything."""
    gone, subscription = await _listen(bus, channel)
    stays, _ = await _listen(bus, channel)
    bus.publish(channel, [b"1"])
    await stays.wait(1)
    subscription.close()
    subscription.close()
    bus.publish(channel, [b"2"])
    assert await stays.wait(2) == [b"1", b"2"]
    assert gone.payloads == [b"1"]


async def test_a_channel_can_be_left_and_entered_again(bus: Bus, channel: str) -> None:
    """The last close and a new subscribe in one step of the loop leave a working subscription."""
    _, subscription = await _listen(bus, channel)
    subscription.close()
    again, _ = await _listen(bus, channel)
    bus.publish(channel, [b"back"])
    assert await again.wait(1) == [b"back"]


async def test_a_callback_may_close_its_neighbour(bus: Bus, channel: str) -> None:
    """A subscription closed during a delivery gets nothing of that delivery any more."""
    victims: list[Subscription] = []
    first = Inbox()

    def close_the_next(name: str, payloads: Sequence[bytes]) -> None:
        first.receive(name, payloads)
        for victim in victims:
            victim.close()

    bus.subscribe(channel, close_the_next)
    second, subscription = await _listen(bus, channel)
    victims.append(subscription)
    bus.publish(channel, [b"x"])
    await first.wait(1)
    assert second.payloads == []


async def test_a_callback_may_subscribe(bus: Bus, channel: str) -> None:
    """A subscription made inside a callback starts with the next message."""
    late = Inbox()
    first = Inbox()

    def subscribe_once(name: str, payloads: Sequence[bytes]) -> None:
        if not first.payloads:
            bus.subscribe(channel, late.receive)
        first.receive(name, payloads)

    await bus.subscribe(channel, subscribe_once).ready()
    bus.publish(channel, [b"1"])
    await first.wait(1)
    bus.publish(channel, [b"2"])
    assert await late.wait(1) == [b"2"]


async def test_a_message_published_in_a_callback_comes_after_the_current_one(bus: Bus, channel: str) -> None:
    """All subscribers see the same order, also when one of them answers at once."""
    inboxes = [Inbox(), Inbox()]

    def answer(name: str, payloads: Sequence[bytes]) -> None:
        inboxes[0].receive(name, payloads)
        if b"question" in payloads:
            bus.publish(name, [b"answer"])

    bus.subscribe(channel, answer)
    await bus.subscribe(channel, inboxes[1].receive).ready()
    bus.publish(channel, [b"question"])
    for inbox in inboxes:
        assert await inbox.wait(2) == [b"question", b"answer"]


async def test_a_failing_callback_harms_nobody_else(bus: Bus, channel: str) -> None:
    """Its exception is logged and counted; the others get the message, and so does it the next time."""
    seen: list[bytes] = []

    def fail(_: str, payloads: Sequence[bytes]) -> None:
        seen.extend(payloads)
        raise ValueError("broken subscriber")

    with capture_logs() as logs:
        bus.subscribe(channel, fail)
        inbox, _ = await _listen(bus, channel)
        bus.publish(channel, [b"1"])
        await inbox.wait(1)
        bus.publish(channel, [b"2"])
        await inbox.wait(2)
    assert seen == [b"1", b"2"]
    assert bus.status().callback_errors == 2
    told = [entry for entry in logs if entry["event"] == "bus_callback_failed"]
    assert len(told) == 1
    assert "broken subscriber" in told[0]["what_happened"]


async def test_payloads_are_opaque(bus: Bus, channel: str) -> None:
    """Any bytes pass unchanged: empty, protocol look-alikes, invalid UTF-8, zero bytes, one megabyte."""
    payloads = [b"", b"\r\n$5\r\nhello\r\n", b"*3\r\n", b"\xff\xfe\x00\xc0", bytes(range(256)), b"\xee" * 1_048_576]
    inbox, _ = await _listen(bus, channel)
    bus.publish(channel, payloads)
    assert await inbox.wait(len(payloads)) == payloads


async def test_publishing_nothing_is_nothing(bus: Bus, channel: str) -> None:
    """An empty list is neither delivered nor counted."""
    inbox, _ = await _listen(bus, channel)
    bus.publish(channel, [])
    bus.publish(channel, [b"1"])
    assert await inbox.wait(1) == [b"1"]
    assert bus.status().published == 1


async def test_later_changes_of_the_list_change_nothing(bus: Bus, channel: str) -> None:
    """The caller may reuse its list after publish()."""
    inbox, _ = await _listen(bus, channel)
    reused = [b"before"]
    bus.publish(channel, reused)
    reused[0] = b"after"
    assert await inbox.wait(1) == [b"before"]


async def test_counters_add_up(bus: Bus, channel: str) -> None:
    """published, delivered and refused count messages, not calls."""
    first, _ = await _listen(bus, channel)
    second, _ = await _listen(bus, channel)
    bus.publish(channel, [b"a", b"b", b"c"])
    await first.wait(3)
    await second.wait(3)
    status = bus.status()
    assert (status.published, status.delivered, status.refused) == (3, 6, 0)
    assert (status.state, status.reason, status.lost, status.gaps) == ("up", "", 0, 0)
    await bus.stop()
    with pytest.raises(BusError):
        bus.publish(channel, [b"d", b"e"])
    assert bus.status().refused == 2


async def test_refuses_before_start_and_after_stop(idle_bus: Bus, channel: str) -> None:
    """publish() and ping() say what to do instead of swallowing the message."""
    for prepare in (None, idle_bus.start):
        if prepare is not None:
            await prepare()
            await idle_bus.stop()
        assert idle_bus.status().state == "down"
        with pytest.raises(BusError) as refusal:
            idle_bus.publish(channel, [b"x"])
        assert refusal.value.code == "broker_unavailable"
        assert refusal.value.required_action
        assert refusal.value.will_not
        with pytest.raises(BusError):
            await idle_bus.ping()


async def test_start_and_stop_are_idempotent_and_repeatable(idle_bus: Bus, channel: str) -> None:
    """Two starts are one, two stops are one, and a stopped bus can be started again with its subscriptions."""
    inbox = Inbox()
    subscription = idle_bus.subscribe(channel, inbox.receive)
    before = asyncio.all_tasks()
    for number in range(2):
        await asyncio.gather(idle_bus.start(), idle_bus.start())
        await idle_bus.start()
        await subscription.ready()
        idle_bus.publish(channel, [b"%d" % number])
        await inbox.wait(number + 1)
        await idle_bus.stop()
        await idle_bus.stop()
        assert asyncio.all_tasks() == before
    assert inbox.payloads == [b"0", b"1"]


async def test_stop_flushes_what_was_accepted(bus: Bus, idle_bus: Bus, channel: str) -> None:
    """Messages taken right before stop() are still written."""
    bus.publish(channel, [b"x"] * 3_000)
    await bus.stop()
    status = bus.status()
    assert (status.published, status.outbox_messages, status.lost, status.unconfirmed) == (3_000, 0, 0, 0)


async def test_ping_answers(bus: Bus) -> None:
    """ping() returns a round trip in milliseconds."""
    assert 0.0 <= await bus.ping() < 10_000.0


async def test_state_changes_are_told(idle_bus: Bus) -> None:
    """Watchers hear of start and stop, until they close; a failing watcher harms nobody."""
    heard: list[str] = []

    def fail(_: object) -> None:
        raise ValueError("broken watcher")

    with capture_logs() as logs:
        idle_bus.on_state(fail)
        watch = idle_bus.on_state(lambda status: heard.append(status.state))
        await idle_bus.start()
        await idle_bus.stop()
        watch.close()
        watch.close()
        await idle_bus.start()
        await idle_bus.stop()
    assert heard == ["up", "down"]
    assert [entry for entry in logs if entry["event"] == "bus_notice_failed"]
