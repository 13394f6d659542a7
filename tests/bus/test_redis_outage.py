"""The Redis bus and a server that dies, freezes, hangs up or answers half: everything is told, and it comes back."""

from __future__ import annotations

import asyncio
import socket

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.bus.conftest import QUICK, MakeBus
from tests.support.bus import Inbox, Notices, wait_for_status
from tests.support.fault_proxy import FaultProxy
from tests.support.valkey import BareClient, ValkeyProcess
from tidewire.bus.redis import RedisBus
from tidewire.bus.wire import BrokerLimits, encode_command
from tidewire.core.errors import BusError

SLOW_MS = BrokerLimits().slow_ms


async def _listening(bus: RedisBus, *channels: str) -> list[Inbox]:
    """Start ``bus`` and return one inbox per channel, ready."""
    await bus.start()
    inboxes = []
    for channel in channels:
        inboxes.append(Inbox())
        await bus.subscribe(channel, inboxes[-1].receive).ready()
    return inboxes


async def _passes(bus: RedisBus, channel: str, inbox: Inbox) -> None:
    """Assert that a message published now arrives."""
    await bus.subscribe(channel, lambda *_: None).ready()
    bus.publish(channel, [b"later"])
    assert (await inbox.wait(len(inbox.payloads) + 1))[-1] == b"later"


async def test_killed_and_restarted(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """kill -9: down is told and publishes are refused; after the restart messages flow, and each channel has a gap."""
    bus = make_bus(valkey.url)
    notices = Notices(bus)
    inbox, other = await _listening(bus, channel, channel + ":2")
    valkey.kill()
    down = await wait_for_status(bus, lambda status: status.state == "down")
    assert down.reason
    with pytest.raises(BusError) as refusal:
        bus.publish(channel, [b"meanwhile"])
    assert refusal.value.code == "broker_unavailable"
    with pytest.raises(BusError):
        await bus.ping()
    await asyncio.to_thread(valkey.start)
    await notices.wait(lambda told: len(told.gaps) == 2)
    await _passes(bus, channel, inbox)
    await _passes(bus, channel + ":2", other)
    await notices.wait(lambda told: told.names == ["up", "down", "degraded", "up"])
    assert "missing" in notices.states[2].reason
    assert sorted(notices.gaps) == [channel, channel + ":2"]
    status = bus.status()
    assert (status.reconnects, status.gaps, status.refused, status.reason) == (1, 2, 1, "")
    assert b"meanwhile" not in inbox.payloads


async def test_frozen_and_thawed_with_the_real_deadlines(
    valkey: ValkeyProcess, make_bus: MakeBus, channel: str
) -> None:
    """SIGSTOP: down within 2 s by the product's own deadlines, what was taken is told by number; SIGCONT: back."""
    bus = make_bus(valkey.url, BrokerLimits())
    notices = Notices(bus)
    (inbox,) = await _listening(bus, channel)
    valkey.freeze()
    try:
        bus.publish(channel, [b"%d" % number for number in range(1_000)])
        # 0.5 s + 1.5 s are the deadlines; the rest is patience with a busy machine.
        status = await wait_for_status(bus, lambda status: status.state == "down", ceiling_s=6.0)
        with pytest.raises(BusError):
            bus.publish(channel, [b"refused"])
        assert status.lost + status.unconfirmed == 1_000
        # None, if a ping was on its way at that very moment.
        assert status.unconfirmed in (0, BrokerLimits().chunk_messages)
        assert f"{status.lost} accepted messages" in status.reason
        assert f"{status.unconfirmed} were written" in status.reason
    finally:
        valkey.thaw()
    await notices.wait(lambda told: told.names[-1] == "degraded" and told.gaps == [channel])
    await _passes(bus, channel, inbox)
    assert bus.status().reconnects == 1


async def test_still_frozen_when_trying_again(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """A server that accepts and says nothing is not up: no state but down is told until it answers."""
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}", msgspec.structs.replace(QUICK, connect_timeout_s=0.5))
        notices = Notices(bus)
        (inbox,) = await _listening(bus, channel)
        valkey.freeze()
        try:
            with capture_logs() as logs:
                await proxy.wait_accepted(4)
            assert notices.names == ["up", "down"]
            told = next(entry for entry in logs if entry["event"] == "bus_connect_failed")
            assert "no answer in time" in told["message"]
            assert told["required_action"]
            assert told["will_not"]
        finally:
            valkey.thaw()
        await notices.wait(lambda told: told.gaps == [channel])
        await _passes(bus, channel, inbox)
        await bus.stop()


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_client_kill(valkey: ValkeyProcess, make_bus: MakeBus, channel: str, kind: str) -> None:
    """Either connection killed by an operator: both are renewed, and the repeated confirmation is told as a gap."""
    bus = make_bus(valkey.url)
    notices = Notices(bus)
    (inbox,) = await _listening(bus, channel)
    assert await BareClient(valkey.port).command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes") == b":1"
    await notices.wait(lambda told: told.gaps == [channel])
    await _passes(bus, channel, inbox)
    assert notices.names[:3] == ["up", "down", "degraded"]


async def test_a_message_sent_during_the_break_is_the_gap(
    valkey: ValkeyProcess, make_bus: MakeBus, channel: str
) -> None:
    """What another program publishes between the kill and the return is missing, and its channel is named."""
    bus = make_bus(valkey.url)
    notices = Notices(bus)
    (inbox,) = await _listening(bus, channel)
    bare = BareClient(valkey.port)
    with capture_logs() as logs:
        await bare.command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await bare.command("PUBLISH", channel, "missed") == b":0"
        await notices.wait(lambda told: told.gaps == [channel])
    await _passes(bus, channel, inbox)
    assert inbox.payloads == [b"later"]
    told = [entry for entry in logs if entry["event"] == "bus_gap"]
    assert [entry["channel"] for entry in told] == [channel]
    assert told[0]["will_not"]


async def test_many_channels_with_the_same_gap_are_one_line(
    valkey: ValkeyProcess, make_bus: MakeBus, channel: str
) -> None:
    """A node that listens to thousands of rooms does not fill its log; each gap is counted and told all the same."""
    bus = make_bus(valkey.url)
    notices = Notices(bus)
    channels = [f"{channel}-{number}" for number in range(20)]
    for one in channels:
        await _listening(bus, one)
    for rounds in (1, 2):
        with capture_logs() as logs:
            await BareClient(valkey.port).command("CLIENT", "KILL", "TYPE", "pubsub")
            await notices.wait(lambda told, so_many=rounds: sorted(told.gaps) == sorted(channels * so_many))
        (line,) = [entry for entry in logs if entry["event"] == "bus_gap"]
        assert (line["channel"] in channels, line["channels"]) == (True, 20)


async def test_what_was_confirmed_is_never_called_lost(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """After a kill under load, lost + unconfirmed + confirmed is what was published, and nothing confirmed is missing.

    The subscriber listens on a second bus over the same server, so what the server took before it died may still be
    in its socket: the certain part is that nothing unsent arrives, and that the accounts add up.
    """
    publisher, subscriber = make_bus(valkey.url), make_bus(valkey.url)
    (inbox,) = await _listening(subscriber, channel)
    await publisher.start()
    for number in range(20):
        publisher.publish(channel, [b"%d" % (number * 1_000 + index) for index in range(1_000)])
    await inbox.wait(2_000)
    valkey.kill()
    status = await wait_for_status(publisher, lambda status: status.state == "down")
    await wait_for_status(subscriber, lambda status: status.state == "down")
    assert status.published == 20_000
    assert status.outbox_messages == status.outbox_bytes == 0
    assert status.unconfirmed <= QUICK.chunk_messages
    written = status.published - status.lost
    assert inbox.payloads == [b"%d" % number for number in range(len(inbox.payloads))]
    assert len(inbox.payloads) <= written


async def test_black_hole(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """Half-open, nothing is answered any more: down by deadline; when the network is back, so is the bus."""
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}")
        notices = Notices(bus)
        (inbox,) = await _listening(bus, channel)
        proxy.set("blackhole")
        # More than the kernel's buffers hold, so that the write itself is what waits.
        bus.publish(channel, [b"x" * 33_554_432, b"y"])
        status = await wait_for_status(bus, lambda status: status.state == "down")
        assert (status.lost, status.unconfirmed) == (1, 1)
        proxy.set("pass")
        await notices.wait(lambda told: told.gaps == [channel])
        await _passes(bus, channel, inbox)
        await bus.stop()


async def test_only_the_listening_connection_is_dead(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """A subscriber that would hear nothing for ever is noticed although publishing works."""
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}")
        notices = Notices(bus)
        (inbox,) = await _listening(bus, channel)
        # Connections are accepted in the order they are made: the second is the listening one.
        proxy.hold(1)
        await notices.wait(lambda told: told.gaps == [channel])
        assert "listening connection" in notices.states[1].reason
        await _passes(bus, channel, inbox)
        await bus.stop()


async def test_cut_in_the_middle_of_a_message(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """Half a message is never delivered; the next whole one is."""
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}")
        notices = Notices(bus)
        (inbox,) = await _listening(bus, channel)
        proxy.cut_after = 5_000
        assert await BareClient(valkey.port).command("PUBLISH", channel, b"z" * 10_000) == b":1"
        await notices.wait(lambda told: told.gaps == [channel])
        await _passes(bus, channel, inbox)
        assert inbox.payloads == [b"later"]
        await bus.stop()


async def test_refused_for_a_while(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """Connection refused again and again: it keeps trying, and gets through when it may."""
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}")
        notices = Notices(bus)
        (inbox,) = await _listening(bus, channel)
        proxy.set("refuse")
        proxy.reset()
        await proxy.wait_accepted(5)
        assert notices.names == ["up", "down"]
        proxy.set("pass")
        await notices.wait(lambda told: told.gaps == [channel])
        await _passes(bus, channel, inbox)
        await bus.stop()


async def test_slow_is_degraded_and_goes_by(valkey: ValkeyProcess, make_bus: MakeBus, channel: str) -> None:
    """Round trips above the mark are told as degraded with the number, messages still pass, and it ends by itself."""
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}", msgspec.structs.replace(QUICK, slow_ms=SLOW_MS))
        notices = Notices(bus)
        (inbox,) = await _listening(bus, channel)
        proxy.delay_s = 0.15
        await notices.wait(lambda told: "degraded" in told.names)
        assert "slow: a round trip took" in notices.states[1].reason
        assert (bus.status().rtt_ms or 0.0) > SLOW_MS
        bus.publish(channel, [b"slowly"])
        assert await inbox.wait(1) == [b"slowly"]
        proxy.delay_s = 0.0
        await notices.wait(lambda told: told.names[-1] == "up")
        assert (bus.status().gaps, bus.status().reconnects) == (0, 0)
        await bus.stop()


async def test_the_server_cuts_a_subscriber_that_is_too_slow(
    valkey: ValkeyProcess, make_bus: MakeBus, channel: str
) -> None:
    """Redis closes a subscriber whose output buffer is full: that is told as a gap, not as silence."""
    limit = await BareClient(valkey.port).command("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
    assert limit == b"+OK"
    bus = make_bus(valkey.url)
    notices = Notices(bus)
    (inbox,) = await _listening(bus, channel)
    with socket.create_connection(("127.0.0.1", valkey.port)) as other_program:
        # Without the loop, so that nobody reads meanwhile, until the kernel's buffers are full and the server reports
        # that it reached nobody: then the subscriber was cut, once.
        other_program.settimeout(20)
        for _ in range(256):
            other_program.sendall(encode_command(b"PUBLISH", channel.encode(), b"w" * 1_048_576))
            if (reached := other_program.recv(64)) == b":0\r\n":
                break
        assert reached == b":0\r\n"
    await notices.wait(lambda told: told.gaps == [channel])
    await _passes(bus, channel, inbox)
