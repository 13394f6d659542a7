"""Starting, stopping and giving up on the Redis bus at any moment: bounded, repeatable, nothing left behind."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tests.bus.conftest import QUICK, MakeBus
from tests.support.bus import Inbox, Notices, wait_for_status
from tests.support.cancellation import cancelled_at
from tests.support.fault_proxy import FaultProxy
from tests.support.sockets import assert_all_closed, open_sockets
from tests.support.valkey import ValkeyProcess
from tidewire.bus.wire import BrokerLimits
from tidewire.core.errors import BusError


async def test_twenty_lives_leave_nothing(make_bus: MakeBus, valkey_url: str, channel: str) -> None:
    """After 20 starts and stops there are as many tasks and sockets as before."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    bus = make_bus(valkey_url)
    inbox = Inbox()
    subscription = bus.subscribe(channel, inbox.receive)
    for number in range(20):
        await bus.start()
        await subscription.ready()
        bus.publish(channel, [b"%d" % number])
        await inbox.wait(number + 1)
        await bus.stop()
        assert asyncio.all_tasks() == tasks
    await assert_all_closed(sockets)
    gc.collect()  # a transport that was forgotten open would warn now, and warnings are errors
    assert inbox.payloads == [b"%d" % number for number in range(20)]


async def test_many_breaks_leave_nothing(make_bus: MakeBus, valkey: ValkeyProcess, channel: str) -> None:
    """Twenty resets by the network: two connections and three tasks at a time, not more."""
    limits = BrokerLimits(ping_interval_s=0.1, retry_base_s=0.01, retry_cap_s=0.01)
    async with FaultProxy(valkey.port) as proxy:
        bus = make_bus(f"redis://127.0.0.1:{proxy.port}", limits)
        tasks, sockets = asyncio.all_tasks(), open_sockets()
        notices = Notices(bus)
        inbox = Inbox()
        await bus.start()
        subscription = bus.subscribe(channel, inbox.receive)
        await subscription.ready()
        for number in range(20):
            proxy.reset()
            await notices.wait(lambda told, seen=number: len(told.gaps) == seen + 1)
        assert sum(task.get_name().startswith("redis-bus") for task in asyncio.all_tasks()) == 4
        bus.publish(channel, [b"still"])
        assert await inbox.wait(1) == [b"still"]
        assert bus.status().reconnects == 20
        await bus.stop()
        await assert_all_closed(sockets)
        assert asyncio.all_tasks() == tasks


async def test_stop_while_connecting(make_bus: MakeBus, valkey: ValkeyProcess) -> None:
    """stop() during start() waits for the end of that one attempt, which has a deadline."""
    bus = make_bus(valkey.url, BrokerLimits(connect_timeout_s=0.5))
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    valkey.freeze()
    try:
        async with asyncio.timeout(45):
            started, stopped = await asyncio.gather(bus.start(), bus.stop(), return_exceptions=True)
    finally:
        valkey.thaw()
    assert isinstance(started, BusError)
    assert stopped is None
    await assert_all_closed(sockets)
    assert asyncio.all_tasks() == tasks


async def test_stop_while_reconnecting(make_bus: MakeBus, valkey: ValkeyProcess) -> None:
    """stop() ends the attempts at once, twice is once, and no state is told after the last."""
    bus = make_bus(valkey.url)
    notices = Notices(bus)
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    await bus.start()
    valkey.kill()
    await wait_for_status(bus, lambda status: status.state == "down")
    async with asyncio.timeout(45):
        await asyncio.gather(bus.stop(), bus.stop())
        await bus.stop()
    assert asyncio.all_tasks() == tasks
    await assert_all_closed(sockets)
    assert notices.names == ["up", "down"]
    assert bus.status().reason == "stopped"


@pytest.mark.parametrize("size", [1, 33_554_432])
async def test_stop_while_frozen(make_bus: MakeBus, valkey: ValkeyProcess, channel: str, size: int) -> None:
    """A frozen server cannot hold stop(), whether it waits for an answer or for the write itself; losses are told."""
    bus = make_bus(valkey.url)
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    await bus.start()
    valkey.freeze()
    try:
        bus.publish(channel, [b"x" * size, b"y"])
        async with asyncio.timeout(45):
            await bus.stop()
        status = bus.status()
        assert status.state == "down"
        assert status.lost + status.unconfirmed == 2
        assert asyncio.all_tasks() == tasks
        await assert_all_closed(sockets)
    finally:
        valkey.thaw()


@pytest.mark.parametrize("size", [1, 33_554_432])
async def test_a_break_while_frozen_closes_the_sockets(
    make_bus: MakeBus, valkey: ValkeyProcess, channel: str, size: int
) -> None:
    """The old connections are gone as soon as down is told, even with 32 MB unsent: nothing goes out late."""
    bus = make_bus(valkey.url)
    sockets = open_sockets()
    await bus.start()
    valkey.freeze()
    try:
        bus.publish(channel, [b"x" * size])
        await wait_for_status(bus, lambda status: status.state == "down")
        # At most the two of an attempt to reconnect, which are new; the attempt itself ends with stop().
        await bus.stop()
        await assert_all_closed(sockets)
    finally:
        valkey.thaw()


async def test_publishing_while_stopping_is_refused(make_bus: MakeBus, valkey: ValkeyProcess, channel: str) -> None:
    """From the first moment of stop() on nothing is taken, and the refusal says why."""
    bus = make_bus(valkey.url)
    await bus.start()
    bus.publish(channel, [b"x"] * 3_000)
    stopping = asyncio.create_task(bus.stop())
    await asyncio.sleep(0)
    with pytest.raises(BusError) as refusal:
        bus.publish(channel, [b"y"])
    assert "stopping" in refusal.value.message
    with pytest.raises(BusError):
        await bus.ping()
    await stopping
    assert (bus.status().refused, bus.status().lost, bus.status().unconfirmed) == (1, 0, 0)


async def test_giving_up_a_stop_at_any_point(make_bus: MakeBus, valkey_url: str, channel: str) -> None:
    """A stop() that is cancelled at any of its awaits can be repeated; the bus never runs twice or for ever."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    bus = make_bus(valkey_url)
    inbox = Inbox()
    subscription = bus.subscribe(channel, inbox.receive)
    at, more = 1, True
    while more:
        await bus.start()
        await subscription.ready()
        bus.publish(channel, [b"x"] * 1_500)
        more = await cancelled_at(bus.stop(), at)
        await bus.stop()
        assert bus.status().state == "down"
        assert asyncio.all_tasks() == tasks
        await assert_all_closed(sockets)
        at += 1
    assert at > 3
    status = bus.status()
    assert status.lost + status.unconfirmed <= status.published


async def test_giving_up_a_ping_at_any_point(make_bus: MakeBus, valkey_url: str, channel: str) -> None:
    """A cancelled ping costs the connection nothing: no answer is handed to the wrong asker (CVE-2023-28858)."""
    bus = make_bus(valkey_url)
    await bus.start()
    inbox = Inbox()
    await bus.subscribe(channel, inbox.receive).ready()
    at = 1
    while await cancelled_at(bus.ping(), at):
        bus.publish(channel, [b"%d" % at])
        assert await bus.ping() >= 0.0
        at += 1
    assert at > 1
    assert await inbox.wait(at - 1) == [b"%d" % number for number in range(1, at)]
    status = bus.status()
    assert (status.state, status.reconnects, status.lost, status.unconfirmed) == ("up", 0, 0, 0)


async def test_many_pings_given_up_under_load(make_bus: MakeBus, valkey_url: str, channel: str) -> None:
    """Hundreds of pings cancelled between messages leave order, count and confirmations untouched."""
    bus = make_bus(valkey_url)
    await bus.start()
    inbox = Inbox()
    await bus.subscribe(channel, inbox.receive).ready()
    for number in range(300):
        ping = asyncio.create_task(bus.ping())
        bus.publish(channel, [b"%d" % number])
        for _ in range(number % 7):
            await asyncio.sleep(0)
        ping.cancel()
        await asyncio.gather(ping, return_exceptions=True)
    assert await inbox.wait(300) == [b"%d" % number for number in range(300)]
    await bus.ping()
    status = bus.status()
    assert (status.state, status.outbox_messages, status.outbox_bytes, status.reconnects) == ("up", 0, 0, 0)


async def test_giving_up_ready_at_any_point(make_bus: MakeBus, valkey_url: str, channel: str) -> None:
    """Whoever stops waiting for a confirmation disturbs nobody: the subscription comes all the same."""
    bus = make_bus(valkey_url)
    await bus.start()
    at = 1
    while True:
        inbox = Inbox()
        subscription = bus.subscribe(f"{channel}:{at}", inbox.receive)
        more = await cancelled_at(subscription.ready(), at)
        await subscription.ready()
        bus.publish(f"{channel}:{at}", [b"here"])
        assert await inbox.wait(1) == [b"here"]
        if not more:
            break
        at += 1
    assert at > 1
    assert bus.status().state == "up"


async def test_a_break_fails_what_waits(make_bus: MakeBus, valkey: ValkeyProcess) -> None:
    """A ping that is on its way when the server dies ends with BusError, not with its deadline's silence."""
    bus = make_bus(valkey.url, QUICK)
    await bus.start()
    valkey.freeze()
    ping = asyncio.create_task(bus.ping())
    await asyncio.sleep(0)
    valkey.kill()
    async with asyncio.timeout(45):
        with pytest.raises(BusError) as failure:
            await ping
    assert failure.value.required_action
