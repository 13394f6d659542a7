"""Subscriptions that begin and end together: on both buses, in the middle of a delivery, refused, and after a break."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from tests.bus.conftest import MakeBus
from tests.support.bus import Inbox, Notices
from tests.support.clock import HandClock
from tests.support.fault_proxy import FaultProxy
from tests.support.valkey import BareClient, ValkeyProcess
from tidewire.bus.base import Bus
from tidewire.bus.listening import Listening
from tidewire.bus.memory import MemoryBus
from tidewire.core.errors import BusError


async def test_each_channel_is_heard_from_start_to_stop(bus: Bus, channel: str) -> None:
    """By its own callback, once, and again after a new start; stopping twice is stopping once."""
    first, second, other = Inbox(), Inbox(), f"{channel}:other"
    listening = Listening(bus, {channel: first.receive, other: second.receive})
    listening.stop()
    for number in range(2):
        assert not listening.on
        listening.start()
        assert listening.on
        await listening.ready()
        bus.publish(channel, [b"1"])
        bus.publish(other, [b"2"])
        assert (await first.wait(number + 1), await second.wait(number + 1)) == (
            [b"1"] * (number + 1),
            [b"2"] * (number + 1),
        )
        listening.stop()
        listening.stop()
    witness = Inbox()
    await bus.subscribe(channel, witness.receive).ready()
    bus.publish(channel, [b"3"])
    await witness.wait(1)
    assert first.payloads == [b"1", b"1"]


async def test_a_second_start_is_refused_and_nothing_is_heard_twice(bus: Bus, channel: str) -> None:
    """It names the channel, and the first start stays as it is."""
    inbox = Inbox()
    listening = Listening(bus, {channel: inbox.receive})
    listening.start()
    with pytest.raises(RuntimeError, match=channel):
        listening.start()
    await listening.ready()
    bus.publish(channel, [b"1", b"2"])
    assert await inbox.wait(2) == [b"1", b"2"]
    listening.stop()


async def test_whoever_stops_while_it_hears_hears_no_more() -> None:
    """What the bus is about to deliver to its other callbacks, and what they publish, does not come."""
    bus = MemoryBus(HandClock())
    await bus.start()
    heard: list[bytes] = []

    def stop(_: str, payloads: Sequence[bytes]) -> None:
        heard.extend(payloads)
        bus.publish("other", [b"late"])
        listening.stop()

    listening = Listening(bus, {"one": stop, "other": lambda _, payloads: heard.extend(payloads)})
    listening.start()
    bus.publish("one", [b"now"])
    bus.publish("one", [b"later"])
    assert (heard, listening.on) == ([b"now"], False)


async def test_a_callback_that_fails_is_logged_and_called_again(bus: Bus, channel: str) -> None:
    """One line for the operator, one message lost to it, and the next one comes."""
    inbox = Inbox()

    def receive(name: str, payloads: Sequence[bytes]) -> None:
        inbox.receive(name, payloads)
        if payloads[0] == b"bad":
            raise ZeroDivisionError("a fault of ours")

    listening = Listening(bus, {channel: receive})
    listening.start()
    await listening.ready()
    with capture_logs() as lines:
        bus.publish(channel, [b"bad"])
        await inbox.wait(1)
        bus.publish(channel, [b"good"])
        assert await inbox.wait(2) == [b"bad", b"good"]
    assert [line["event"] for line in lines] == ["bus_callback_failed"]
    listening.stop()


async def test_a_break_is_noticed_until_it_stops(make_bus: MakeBus, valkey: ValkeyProcess, channel: str) -> None:
    """The gap and every state are told, messages come again by themselves; after the stop nothing is told."""
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}")
        inbox, witness, gaps, states = Inbox(), Notices(bus), list[str](), list[str]()
        listening = Listening(
            bus, {channel: inbox.receive}, gap=gaps.append, state=lambda status: states.append(status.state)
        )
        listening.start()
        kept = bus.subscribe(f"{channel}:kept", inbox.receive)
        await bus.start()
        await listening.ready()
        await kept.ready()
        proxy.reset()
        await witness.wait(lambda told: len(told.gaps) == 2)
        await listening.ready()
        bus.publish(channel, [b"again"])
        assert await inbox.wait(1) == [b"again"]
        assert (sorted(gaps), states) == ([channel, f"{channel}:kept"], witness.names)
        assert "down" in states
        listening.stop()
        told = len(states)
        proxy.reset()
        await witness.wait(lambda told: len(told.gaps) == 3)
        assert (len(gaps), len(states)) == (2, told)
        await bus.stop()


async def test_a_channel_that_the_broker_refuses_is_told_by_ready(
    make_bus: MakeBus, valkey: ValkeyProcess, channel: str
) -> None:
    """With the three sentences; the channel that is allowed is heard all the same."""
    await BareClient(valkey.port).command(
        "ACL", "SETUSER", "half", "on", ">pw", "+@all", "resetchannels", f"&{channel}"
    )
    bus = make_bus(f"redis://half:pw@127.0.0.1:{valkey.port}")
    await bus.start()
    inbox = Inbox()
    listening = Listening(bus, {channel: inbox.receive, "tidewire:forbidden": inbox.receive})
    listening.start()
    with pytest.raises(BusError) as caught:
        await listening.ready()
    assert caught.value.required_action
    assert caught.value.will_not
    bus.publish(channel, [b"1"])
    assert await inbox.wait(1) == [b"1"]
    listening.stop()
