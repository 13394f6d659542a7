"""What goes over the wire of the Redis bus: other programs' bytes, large ones, too many, and wrong answers."""

from __future__ import annotations

import asyncio
import dataclasses
import random

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.bus.conftest import QUICK, MakeBus
from tests.support.bus import Inbox, Notices, wait_for_status
from tests.support.scripted_broker import ScriptedBroker, confirmation, message
from tests.support.valkey import BareClient, ValkeyProcess
from tidewire.bus.wire import BrokerLimits, encode_command
from tidewire.core.errors import BusError
from tidewire.core.market import TICK_CHANNEL

TICK = b'{"type":"market_tick","symbol":"AAPL","price":178.23,"volume":1000,"timestamp":1705853696.123,"source":"own"}'


@dataclasses.dataclass
class _BareSubscriber:
    """Another program that listens: a plain socket and the protocol as it is documented."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int, channel: str) -> _BareSubscriber:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(encode_command(b"SUBSCRIBE", channel.encode()))
        subscriber = cls(reader, writer)
        await subscriber.expect(confirmation(b"subscribe", channel.encode()))
        return subscriber

    async def expect(self, data: bytes) -> None:
        async with asyncio.timeout(45):
            assert await self.reader.readexactly(len(data)) == data


async def test_another_program_publishes_ticks(valkey: ValkeyProcess, make_bus: MakeBus) -> None:
    """What any program writes to the tick channel with plain PUBLISH arrives byte for byte, JSON or not."""
    assert TICK_CHANNEL == "tickstock:market:ticks"
    bus = make_bus(valkey.url)
    inbox = Inbox()
    await bus.start()
    await bus.subscribe(TICK_CHANNEL, inbox.receive).ready()
    bare = BareClient(valkey.port)
    sent = [TICK, b"{broken", b"", bytes(range(256)) * 2, b"\r\n+OK\r\n", '{"symbol":"ÄÖ€😀"}'.encode()]
    for payload in sent:
        assert await bare.command("PUBLISH", TICK_CHANNEL, payload) == b":1"
    assert await inbox.wait(len(sent)) == sent
    assert {channel for channel, _ in inbox.batches} == {TICK_CHANNEL}


async def test_another_program_listens(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """What the bus publishes reaches a plain subscriber byte for byte, in order, one message per payload."""
    bus = make_bus(valkey.url)
    await bus.start()
    bare = await _BareSubscriber.open(valkey.port, channel)
    sent = [TICK, b"", bytes(range(256)), b"\x00" * 100_000]
    bus.publish(channel, sent)
    await bare.expect(b"".join(message(channel.encode(), payload) for payload in sent))
    bare.writer.close()
    await bare.writer.wait_closed()


async def test_large_payloads_both_ways(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """Twenty times 1 MB of chance, from the bus and from another program, arrive whole and in order."""
    rng = random.Random(4)
    bus = make_bus(valkey.url)
    inbox = Inbox()
    await bus.start()
    await bus.subscribe(channel, inbox.receive).ready()
    sent = [rng.randbytes(1_048_576) for _ in range(20)]
    bus.publish(channel, sent[:10])
    await inbox.wait(10)
    for payload in sent[10:]:
        await BareClient(valkey.port).command("PUBLISH", channel, payload)
    assert await inbox.wait(20) == sent
    assert bus.status().lost == bus.status().unconfirmed == 0


@pytest.mark.parametrize(
    ("limits", "fits", "too_much"),
    [
        ({"outbox_messages": 100}, [b"a"] * 60, [b"b"] * 41),
        ({"outbox_bytes": 100_000}, [b"a" * 20_000] * 3, [b"b" * 20_000] * 2),
        ({"outbox_bytes": 100_000}, [b"a"], [b"b" * 100_000]),
    ],
)
async def test_outbox_full(
    valkey: ValkeyProcess,
    make_bus: MakeBus,
    channel: str,
    limits: dict[str, int],
    fits: list[bytes],
    too_much: list[bytes],
) -> None:
    """A call that does not fit is refused by name and whole; what was taken before and after arrives."""
    # A deadline beyond the test's: the server is slow here, not gone.
    patient = msgspec.structs.replace(QUICK, command_timeout_s=20.0, **limits)
    bus = make_bus(valkey.url, patient)
    inbox = Inbox()
    await bus.start()
    await bus.subscribe(channel, inbox.receive).ready()
    valkey.freeze()
    try:
        bus.publish(channel, fits)
        with pytest.raises(BusError) as refusal:
            bus.publish(channel, too_much)
        assert refusal.value.code == "bus_outbox_full"
        assert refusal.value.required_action
        assert str(len(too_much)) in refusal.value.message
        status = bus.status()
        assert (status.published, status.refused) == (len(fits), len(too_much))
        assert status.outbox_messages == len(fits)
        bus.publish(channel, [b"small"])
    finally:
        valkey.thaw()
    assert await inbox.wait(len(fits) + 1) == [*fits, b"small"]
    await bus.ping()
    status = bus.status()
    assert (status.outbox_messages, status.outbox_bytes, status.lost, status.unconfirmed) == (0, 0, 0, 0)


async def test_a_payload_that_is_not_bytes_fails_at_its_caller(
    valkey_url: str, make_bus: MakeBus, channel: str
) -> None:
    """A mistake of one caller takes nothing of that call and breaks nobody else's connection."""
    bus = make_bus(valkey_url)
    inbox = Inbox()
    await bus.start()
    await bus.subscribe(channel, inbox.receive).ready()
    with pytest.raises(TypeError):
        bus.publish(channel, [b"good", 7])  # type: ignore[list-item]
    bus.publish(channel, [b"after"])
    assert await inbox.wait(1) == [b"after"]
    assert (bus.status().published, bus.status().reconnects) == (1, 0)


async def test_entering_and_leaving_quickly_is_no_gap(valkey_url: str, make_bus: MakeBus, channel: str) -> None:
    """Hundreds of subscribe and close on one channel, in all rhythms: no gap is told where there was none."""
    bus = make_bus(valkey_url)
    notices = Notices(bus)
    await bus.start()
    for number in range(200):
        subscription = bus.subscribe(channel, lambda *_: None)
        for _ in range(number % 5):
            await asyncio.sleep(0)
        if number % 3 == 0:
            await subscription.ready()
        subscription.close()
        for _ in range(number % 2):
            await asyncio.sleep(0)
    inbox = Inbox()
    await bus.subscribe(channel, inbox.receive).ready()
    bus.publish(channel, [b"1"])
    assert await inbox.wait(1) == [b"1"]
    assert notices.gaps == []
    assert notices.names == ["up"]


async def test_a_silent_reconnect_in_between_is_a_gap(make_bus: MakeBus, channel: str) -> None:
    """A confirmation that nobody asked for means that something reconnected behind our back: told as a gap."""
    async with ScriptedBroker() as broker:
        bus = make_bus(broker.url)
        notices = Notices(bus)
        inbox = Inbox()
        await bus.start()
        await bus.subscribe(channel, inbox.receive).ready()
        broker.say(message(channel.encode(), b"1") + confirmation(b"subscribe", channel.encode()))
        await notices.wait(lambda told: told.gaps == [channel])
        broker.say(message(channel.encode(), b"2"))
        assert await inbox.wait(2) == [b"1", b"2"]
        assert (bus.status().reconnects, bus.status().gaps, bus.status().state) == (0, 1, "degraded")
        await bus.stop()


@pytest.mark.parametrize("answer", [b"$-1\r\n", b"*-1\r\n", b"?what\r\n", b":x\r\n", b"+PONG\r\n"])
async def test_an_answer_that_is_none(make_bus: MakeBus, channel: str, answer: bytes) -> None:
    """Nil, garbage or another question's answer confirms nothing: told as unconfirmed, the connection thrown away."""
    async with ScriptedBroker() as broker:
        bus = make_bus(broker.url)
        notices = Notices(bus)
        await bus.start()
        broker.answers[b"publish"] = answer
        with capture_logs():
            bus.publish(channel, [b"1"])
            await notices.wait(lambda told: told.names[:3] == ["up", "down", "degraded"])
        assert (bus.status().unconfirmed, bus.status().lost) == (1, 0)
        del broker.answers[b"publish"]
        bus.publish(channel, [b"2"])
        await bus.ping()
        assert bus.status().outbox_messages == 0
        await bus.stop()


@pytest.mark.parametrize(
    "answer",
    [
        b"$-1\r\n",
        b"?what\r\n",
        b"*1\r\n$7\r\nmessage\r\n",
        b"*0\r\n",
        b"+\r\n",
        b":7\r\n",
        b"*3\r\n$7\r\nwhatnot\r\n$1\r\na\r\n:1\r\n",
        b"*3\r\n$9\r\nsubscribe\r\n:1\r\n:1\r\n",
    ],
)
async def test_nonsense_for_the_listener(make_bus: MakeBus, channel: str, answer: bytes) -> None:
    """Whatever is said on the listening connection, the loop goes on and later messages arrive."""
    async with ScriptedBroker() as broker:
        bus = make_bus(broker.url)
        inbox = Inbox()
        notices = Notices(bus)
        await bus.start()
        await bus.subscribe(channel, inbox.receive).ready()
        with capture_logs():
            broker.say(answer)
            await notices.wait(lambda told: told.gaps == [channel])
        broker.say(message(channel.encode(), b"after"))
        assert await inbox.wait(1) == [b"after"]
        assert bus.status().reconnects == 1
        await bus.stop()


async def test_a_server_that_refuses_for_a_while(make_bus: MakeBus, channel: str) -> None:
    """Errors as answers cost the messages, counted and told, and not the connection."""
    async with ScriptedBroker() as broker:
        bus = make_bus(broker.url)
        notices = Notices(bus)
        await bus.start()
        broker.answers[b"publish"] = b"-MISCONF cannot persist\r\n"
        with capture_logs() as logs:
            bus.publish(channel, [b"1", b"2", b"3"])
            await notices.wait(lambda told: told.names == ["up", "degraded"])
            await bus.ping()
        status = bus.status()
        assert (status.published, status.lost, status.outbox_messages, status.reconnects) == (3, 3, 0, 0)
        assert "cannot persist" in status.reason
        assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["bus_message_rejected"]
        del broker.answers[b"publish"]
        bus.publish(channel, [b"4"])
        await notices.wait(lambda told: told.names == ["up", "degraded", "up"])
        assert bus.status().lost == 3
        await bus.stop()


async def test_pings_refused_while_running(make_bus: MakeBus, channel: str) -> None:
    """An answer is a sign of life even if it is a refusal: degraded, connected, and no word of subscriptions."""
    async with ScriptedBroker() as broker:
        bus = make_bus(broker.url)
        inbox = Inbox()
        await bus.start()
        await bus.subscribe(channel, inbox.receive).ready()
        with capture_logs() as logs:
            broker.answers[b"ping"] = b"-NOPERM no ping for you\r\n"
            status = await wait_for_status(bus, lambda status: status.state == "degraded")
            assert "ping" in status.reason
            seen = len(broker.commands)
            while len(broker.commands) < seen + 6:
                await bus.ping()
        assert not [entry for entry in logs if entry["event"] == "bus_subscription_refused"]
        broker.say(message(channel.encode(), b"1"))
        assert await inbox.wait(1) == [b"1"]
        assert bus.status().reconnects == 0
        await bus.stop()


async def test_a_frozen_subscription_answer_is_told(make_bus: MakeBus, channel: str) -> None:
    """A confirmation that does not come ends ready() by deadline, and the connection with it."""
    async with ScriptedBroker() as broker:
        bus = make_bus(broker.url, BrokerLimits(ping_interval_s=0.1, command_timeout_s=0.3))
        await bus.start()
        broker.answers[b"subscribe"] = broker.answers[b"ping"] = b""
        with pytest.raises(BusError) as failure:
            await bus.subscribe(channel, lambda *_: None).ready()
        assert channel in failure.value.message
        assert failure.value.required_action
        broker.answers.clear()
        await wait_for_status(bus, lambda status: status.reconnects >= 1)
        await bus.stop()
