"""A thousand peers that begin and do not finish: cut in time, counted in one line, noticed by nobody (bars R6, R7)."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.command import Service
from tests.support.hub_server import make_hub, running
from tests.support.served import settings
from tests.support.waiting import until
from tests.support.ws_client import RawClient, connect, upgrade_request, upgraded
from tidewire.hub.switchboard import HubOptions
from tidewire.web.http_protocol import Doorkeeper
from tidewire.web.tally import Tally

BEARER = {"Authorization": "Bearer user-1"}
PEERS = 1_000
# Each peer has two ends in this process.
FILES = 4 * PEERS


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for both ends of a thousand connections."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(FILES, before[1])), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_thousand_half_handshakes_are_cut_and_counted_in_one_line(many_files: None) -> None:
    """Silence, pieces of a request and a trickle end at the deadline, while somebody else is served all the time."""
    keeper = Doorkeeper(FILES, head_deadline_s=2.0)
    whole = upgrade_request(**BEARER)
    with capture_logs() as logs:
        hub = make_hub(options=HubOptions(messages_per_second=1e9, burst=1e9))
        async with running(hub, doorkeeper=keeper) as server, contextlib.AsyncExitStack() as stack:
            honest = await stack.enter_async_context(upgraded(server.port, Authorization="Bearer user-2"))
            peers = [await stack.enter_async_context(connect(server.port)) for _ in range(PEERS)]
            for n, peer in enumerate(peers):
                peer.send(whole[: n % len(whole)])
            ends = asyncio.gather(*(peer.ended(30.0) for peer in peers))
            served = 0
            while not ends.done():
                honest.say("ping", id=served)
                assert (await honest.expect("reply", id=served))["ok"]
                # One byte more for some, never the last: a peer that is merely slow is no better.
                for n, peer in enumerate(peers[:20]):
                    if n + served < len(whole) - 2 and not peer.writer.is_closing():
                        peer.send(whole[n + served : n + served + 1])
                served += 1
            await ends
            assert keeper.late == PEERS
            assert server.hub.connection_count() == 1
            assert served > 1
            async with asyncio.timeout(45):
                while not (lines := [line for line in logs if line["event"] == "HANDSHAKES_TOO_SLOW"]):
                    honest.say("ping", id=0)
                    await honest.expect("reply", id=0)
    assert len(lines) == 1
    assert lines[0]["required_action"]
    assert lines[0]["will_not"]


async def test_a_burst_is_one_line_with_its_number() -> None:
    """Soon after the first event; what comes in the next period is another line, and none is lost."""
    loop = asyncio.get_running_loop()
    tally = Tally("MANY", required_action="Do.", will_not="Won't.", settle_s=0.01, every_s=0.2)
    said: list[float] = []
    with capture_logs() as logs:
        for n in range(50):
            tally.add(n=n)
        await until(lambda: logs)
        said.append(loop.time())
        tally.add(n=99)
        await until(lambda: len(logs) == 2)
        said.append(loop.time())
    assert [(line["count"], line["total"], line["n"]) for line in logs] == [(50, 50, 49), (1, 51, 99)]
    assert said[1] - said[0] >= 0.15


async def test_a_refused_client_that_speaks_first_can_read_why() -> None:
    """The answer is not swallowed by a reset: the request that nobody reads is taken in until the client ends."""
    keeper = Doorkeeper(0)
    async with running(make_hub(), doorkeeper=keeper) as server:
        loop = asyncio.get_running_loop()
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                # Sent before the server's loop can turn, so that it is there, unread, when the server answers.
                client.sendall(upgrade_request(**BEARER))
                client.setblocking(False)
                answer = b""
                async with asyncio.timeout(45):
                    while data := await loop.sock_recv(client, 65_536):
                        answer += data
                assert answer.startswith(b"HTTP/1.1 503 ")
        assert keeper.refused == 30
        await until(lambda: not keeper.lingering)


async def test_refused_clients_that_stay_are_cut_and_bounded() -> None:
    """They get their answer and a second; beyond a hundred at once not even that second."""
    keeper = Doorkeeper(0)
    async with running(make_hub(), doorkeeper=keeper) as server, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connect(server.port)) for _ in range(150)]
        await asyncio.gather(*(peer.ended(10.0) for peer in peers))
        async with asyncio.timeout(45):
            while keeper.lingering or keeper.refused < 150:
                assert keeper.lingering <= 100
                await asyncio.sleep(0)


FILE_LIMIT = 300
CAP = FILE_LIMIT - 200


@pytest.fixture
def small_process(tmp_path: Path) -> Iterator[tuple[Service, int]]:
    """``tidewire serve`` that may open 300 files."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILE_LIMIT, before[1]))
    values = settings(tmp_path, TIDEWIRE_ALLOW_ANONYMOUS="true")
    try:
        service = Service("serve", values=values, cwd=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with service:
        yield service, int(str(service.logged("serving")["url"]).rsplit(":", 1)[1])


@contextlib.asynccontextmanager
async def fill(port: int) -> AsyncIterator[list[RawClient]]:
    """As many anonymous connections as the process takes."""
    async with contextlib.AsyncExitStack() as stack:
        inside: list[RawClient] = []
        for _ in range(CAP):
            client = await stack.enter_async_context(upgraded(port))
            await client.expect("connection", status="connected")
            inside.append(client)
        yield inside


async def test_out_of_files_a_process_refuses_aloud_and_disturbs_nobody(small_process: tuple[Service, int]) -> None:
    """Every newcomer beyond the cap gets 503, all at once too; those inside go on; one log line has a count."""
    service, port = small_process
    async with fill(port) as inside:

        async def knock() -> int:
            async with connect(port) as client:
                client.send(upgrade_request())
                return (await client.answer()).status

        assert {await knock() for _ in range(50)} == {503}
        assert set(await asyncio.gather(*(knock() for _ in range(50)))) == {503}
        for client in inside:
            client.say("ping", id=1)
        for client in inside:
            assert (await client.expect("reply", id=1))["ok"]
        line = await asyncio.to_thread(service.logged, "CONNECTION_LIMIT_REACHED")
    lines = [line for line in service.log() if line["event"] == "CONNECTION_LIMIT_REACHED"]
    assert (len(lines), lines[0]["max_connections"]) == (1, CAP)
    assert 1 <= line["count"] <= 100
    assert not [line for line in service.log() if line.get("level") in ("error", "critical")]
    assert "Traceback" not in "".join(service.err)
    async with asyncio.timeout(45):
        while True:
            with contextlib.suppress(AssertionError, ConnectionError, asyncio.IncompleteReadError):
                async with upgraded(port) as again:
                    await again.expect("connection", status="connected")
                    break
