"""Who may use the Redis bus, and what is said when it cannot be used: what to do, and never the password."""

from __future__ import annotations

import asyncio
import logging
import socket
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.bus.conftest import MakeBus
from tests.support.bus import Inbox, Notices
from tests.support.cancellation import cancelled_at
from tests.support.fault_proxy import FaultProxy
from tests.support.scripted_broker import ScriptedBroker
from tests.support.sockets import assert_all_closed, open_sockets
from tests.support.valkey import BareClient, ValkeyProcess
from tests.support.waiting import until
from tidewire.bus.redis import RedisBus
from tidewire.bus.wire import BrokerLimits
from tidewire.core.errors import BusError

CANARY = "c4n4ry-Pa55word"


@contextmanager
def _everything_said(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Collect, at the end, all that structlog and the standard library logged at any level."""
    said: list[str] = []
    caplog.set_level(logging.DEBUG)
    with capture_logs() as logs:
        yield said
    said.append(repr(logs))
    said.append(caplog.text)


def _texts(error: BaseException) -> list[str]:
    """Return every text that an error may be shown as."""
    shown = [str(error), repr(error), "".join(traceback.format_exception(error))]
    return [*shown, repr(error.describe())] if isinstance(error, BusError) else shown


async def _fails(bus: RedisBus) -> BusError:
    """Assert that start() raises BusError and leaves nothing behind."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    with pytest.raises(BusError) as failure:
        await bus.start()
    await assert_all_closed(sockets)
    assert asyncio.all_tasks() == tasks
    assert bus.status().state == "down"
    assert failure.value.code == "broker_unavailable"
    assert failure.value.required_action
    assert "in-process" in failure.value.will_not
    return failure.value


@pytest.mark.parametrize("credentials", ["", CANARY, f":{CANARY}", f"default:{CANARY}", f"nobody:{CANARY}"])
async def test_wrong_credentials(make_bus: MakeBus, caplog: pytest.LogCaptureFixture, credentials: str) -> None:
    """Wrong, missing and misplaced passwords end the start with an action, and are shown nowhere."""
    with ValkeyProcess(requirepass="the right one") as server, _everything_said(caplog) as said:
        bus = make_bus(f"redis://{credentials}@127.0.0.1:{server.port}/0")
        error = await _fails(bus)
        assert "TIDEWIRE_REDIS_URL" in error.required_action
        assert "password" in error.required_action
        assert f"127.0.0.1:{server.port}" in error.message
        said += [*_texts(error), repr(bus), str(bus), repr(bus.status()), repr(vars(bus))]
        await bus.stop()
        said += [repr(bus.status())]
    assert CANARY not in "".join(said)


async def test_a_working_password_is_not_shown_either(
    make_bus: MakeBus, caplog: pytest.LogCaptureFixture, channel: str
) -> None:
    """A password that works, and then works no more, reaches neither log nor status nor errors."""
    with _everything_said(caplog) as said, ValkeyProcess(requirepass=CANARY) as server:
        async with FaultProxy(server.port) as proxy:
            bus = make_bus(f"redis://:{CANARY}@127.0.0.1:{proxy.port}")
            inbox = Inbox()
            await bus.start()
            await bus.subscribe(channel, inbox.receive).ready()
            bus.publish(channel, [b"in"])
            assert await inbox.wait(1) == [b"in"]
            operator = BareClient(server.port, password=CANARY)
            assert await operator.command("CONFIG", "SET", "requirepass", "another") == b"+OK"
            assert (
                await BareClient(server.port, password="another").command("CLIENT", "KILL", "TYPE", "pubsub") == b":1"
            )
            await proxy.wait_accepted(4)  # the fourth is the second attempt: the first has failed and been told
            with pytest.raises(BusError) as refusal:
                bus.publish(channel, [b"refused"])
            said += [*_texts(refusal.value), repr(bus.status()), repr(vars(bus))]
            await bus.stop()
    assert "invalid username-password pair" in said[-2]
    assert CANARY not in "".join(said)


async def test_a_password_with_every_awkward_character(make_bus: MakeBus) -> None:
    """Percent-encoded characters arrive at the server as they were meant."""
    with ValkeyProcess(requirepass="a/b#c?d@e:f%g é") as server:
        bus = make_bus(f"redis://:a%2Fb%23c%3Fd%40e%3Af%25g%20%C3%A9@127.0.0.1:{server.port}/0")
        await bus.start()
        assert bus.status().state == "up"
        await bus.stop()


async def test_unreachable(make_bus: MakeBus) -> None:
    """Nobody listens: the start ends with where it looked and what to do."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port meanwhile
        error = await _fails(make_bus(f"redis://127.0.0.1:{nobody.getsockname()[1]}"))
    assert "refused" in error.message.lower()
    assert "Start the Redis or Valkey server" in error.required_action


async def test_no_answer(make_bus: MakeBus, valkey: ValkeyProcess) -> None:
    """A server that accepts and says nothing ends the start by the product's deadline; thawed, it can be used."""
    bus = make_bus(valkey.url, BrokerLimits(connect_timeout_s=0.5))
    valkey.freeze()
    try:
        error = await _fails(bus)
    finally:
        valkey.thaw()
    assert "no answer in time" in error.message
    await bus.start()
    assert bus.status().state == "up"


async def test_not_a_redis_server(make_bus: MakeBus) -> None:
    """A web server's answer is named as what it is."""
    async with ScriptedBroker() as web:
        web.answers[b"client"] = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        error = await _fails(make_bus(web.url))
    assert "HTTP/1.1 400" in error.message


async def test_a_database_that_does_not_exist(make_bus: MakeBus, valkey_url: str) -> None:
    """The server's own words are passed on."""
    error = await _fails(make_bus(valkey_url.removesuffix("/0") + "/9999"))
    assert "DB index" in error.message


async def test_no_permission_for_the_connection_itself(make_bus: MakeBus, valkey: ValkeyProcess) -> None:
    """A user that may not even ping is refused at the start, with the permissions to give."""
    await BareClient(valkey.port).command("ACL", "SETUSER", "small", "on", ">pw", "&*", "+@all", "-ping")
    error = await _fails(make_bus(f"redis://small:pw@127.0.0.1:{valkey.port}"))
    assert "ping" in error.message
    assert "+ping" in error.required_action


async def test_no_permission_for_a_channel(make_bus: MakeBus, valkey: ValkeyProcess, channel: str) -> None:
    """A refused subscription fails ready(), a refused message is counted as lost, and the rest works."""
    rules = ("on", ">pw", "resetchannels", f"&{channel}:allowed", "+@all")
    await BareClient(valkey.port).command("ACL", "SETUSER", "half", *rules)
    bus = make_bus(f"redis://half:pw@127.0.0.1:{valkey.port}")
    notices = Notices(bus)
    await bus.start()
    inbox = Inbox()
    forbidden = bus.subscribe(f"{channel}:forbidden", inbox.receive)
    for _ in range(2):
        with pytest.raises(BusError) as refusal:
            await forbidden.ready()
        assert refusal.value.code == "subscription_refused"
        assert "ACL SETUSER" in refusal.value.required_action
    await notices.wait(lambda told: told.names[:2] == ["up", "degraded"])
    await bus.subscribe(f"{channel}:allowed", inbox.receive).ready()
    with capture_logs() as logs:
        bus.publish(f"{channel}:forbidden", [b"1", b"2"])
        bus.publish(f"{channel}:allowed", [b"3"])
        assert await inbox.wait(1) == [b"3"]
        # The answers come on another connection than the message.
        await until(lambda: bus.status().lost == 2)
    status = bus.status()
    assert (status.published, status.lost, status.unconfirmed, status.reconnects) == (3, 2, 0, 0)
    assert [entry["count"] for entry in logs if entry["event"] == "bus_message_rejected"] == [1]


async def test_a_socket_file(make_bus: MakeBus, tmp_path: Path, channel: str) -> None:
    """unix:// reaches a server without the network."""
    with ValkeyProcess(unixsocket=str(tmp_path / "s")):
        bus = make_bus(f"unix://{tmp_path / 's'}")
        inbox = Inbox()
        await bus.start()
        await bus.subscribe(channel, inbox.receive).ready()
        bus.publish(channel, [b"local"])
        assert await inbox.wait(1) == [b"local"]
        assert bus.status().endpoint == f"unix://{tmp_path / 's'}"
        await bus.stop()


async def test_giving_up_a_start_at_any_point(make_bus: MakeBus, valkey_url: str) -> None:
    """A start that is cancelled at any of its awaits leaves nothing behind, and the bus can be started."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    at = 1
    bus = make_bus(valkey_url)
    while await cancelled_at(bus.start(), at):
        assert bus.status().state == "down"
        assert asyncio.all_tasks() == tasks
        await assert_all_closed(sockets)
        at += 1
    assert at > 5
    assert bus.status().state == "up"
    await bus.ping()
