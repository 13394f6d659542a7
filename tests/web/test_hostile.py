"""Hostile and dead peers: each is freed or refused in bounded time and memory, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hub_server import Running, fast_options, make_hub, running
from tests.support.waiting import eventually
from tests.support.ws_client import CONTINUATION, PING, PONG, TEXT, RawClient, connect, frame, upgrade_request, upgraded
from tidewire.core import protocol
from tidewire.hub.registry import ConnectionInfo
from tidewire.web.http_protocol import MAX_HEAD_BYTES, Doorkeeper

BEARER = {"Authorization": "Bearer user-1"}


@pytest.fixture
async def closed() -> asyncio.Queue[ConnectionInfo]:
    """The records of connections that ended."""
    return asyncio.Queue()


@pytest.fixture
async def server(closed: asyncio.Queue[ConnectionInfo]) -> AsyncIterator[Running]:
    """A hub with deadlines that a test can wait for."""
    async with running(make_hub(options=fast_options(), closed=closed.put_nowait)) as made:
        yield made


async def _next(closed: asyncio.Queue[ConnectionInfo]) -> ConnectionInfo:
    async with asyncio.timeout(45):
        return await closed.get()


async def _serves(server: Running) -> None:
    """Somebody else is served as ever."""
    async with upgraded(server.port, Authorization="Bearer user-2") as client:
        client.say("ping", id=1)
        assert (await client.expect("reply"))["ok"]


async def test_a_reader_that_stops_is_freed(server: Running, closed: asyncio.Queue[ConnectionInfo]) -> None:
    """Its socket is closed and cut within the stall time, although its buffers never drain."""
    async with upgraded(server.port, receive_bytes=4_096, **BEARER) as stuck:
        stuck.say("subscribe", room_id="app:x")
        await stuck.expect("subscribed", room_id="app:x")
        body = protocol.data_body(b'"' + b"x" * 60_000 + b'"')
        # The kernel takes some megabytes for a reader that stops; after that the hub's own bounds count.
        for _ in range(400):
            if server.hub.publish("app:x", body).reached == 0:
                break
            await asyncio.sleep(0)
        record = await _next(closed)
        assert record.close_code == 4003
        await _serves(server)
    assert server.hub.statistics().outbox_bytes == 0


async def test_a_flood_of_pings_without_reading_is_cut(server: Running, closed: asyncio.Queue[ConnectionInfo]) -> None:
    """Not one pong more than the limit, no buffer that grows."""
    async with upgraded(server.port, receive_bytes=4_096, **BEARER) as attacker:
        flood = frame(PING, b"x" * 125) * 500
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                while True:
                    attacker.send(flood)
                    await attacker.writer.drain()
        record = await _next(closed)
        assert record.bytes_in == 0
        await _serves(server)


@pytest.mark.parametrize(
    "flood",
    [
        frame(PONG, b"x") * 2_000,
        frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) * 2_000,
        frame(TEXT, b"") * 100,
        frame(TEXT, b"[" * 60_000) * 12,
        frame(TEXT, b'{"type":"subscribe","room_id":"app:*"}') * 12,
    ],
    ids=["pongs", "empty fragments", "empty messages", "deep nesting", "wrong names"],
)
async def test_floods_end_with_a_close(server: Running, closed: asyncio.Queue[ConnectionInfo], flood: bytes) -> None:
    """Each kind of flood closes its own connection and no other."""
    async with upgraded(server.port, **BEARER) as attacker:
        await attacker.expect("connection")
        attacker.send(flood)
        assert await attacker.close_code() in (1008, 1009, 4509)
        await attacker.ended()
        await _next(closed)
        await _serves(server)


async def test_half_handshakes_and_silent_connections_are_cut() -> None:
    """Nothing, half a line, half a head, a trickle: all closed at the deadline, and counted."""
    keeper = Doorkeeper(1_000, head_deadline_s=0.3)
    async with running(make_hub(), doorkeeper=keeper) as server, contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connect(server.port)) for _ in range(20)]
        whole = upgrade_request(**BEARER)
        for n, peer in enumerate(peers):
            peer.send(whole[: n * 7])
        for peer in peers:
            await peer.ended()
        assert keeper.late == 20
        await _serves(server)


async def test_a_body_that_never_comes_is_cut() -> None:
    """The head is complete, the body is promised and stays away."""
    keeper = Doorkeeper(1_000, body_deadline_s=0.3)
    async with running(make_hub(), doorkeeper=keeper) as server, connect(server.port) as peer:
        peer.send(b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: nothing\r\n\r\n")
        await peer.ended()


async def test_an_endless_head_is_refused() -> None:
    """431 after 64 KiB (and one read), not after all memory."""
    keeper = Doorkeeper(1_000)
    async with running(make_hub(), doorkeeper=keeper) as server, connect(server.port) as peer:
        peer.send(b"GET /hello HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for n in range(400):
                peer.send(b"X-%d: %b\r\n" % (n, b"y" * 1_000))
                await peer.writer.drain()
        assert (await peer.answer()).status == 431
        assert keeper.oversized >= 1
    assert MAX_HEAD_BYTES == 65_536


async def test_at_the_limit_every_newcomer_is_told_so() -> None:
    """503 for everybody beyond the cap, HTTP or not; those inside are undisturbed; room that frees is given again."""
    hub = make_hub()
    keeper = Doorkeeper(3, hub.connection_count)
    async with running(hub, doorkeeper=keeper) as server:
        async with upgraded(server.port, **BEARER) as inside, upgraded(server.port, **BEARER), connect(server.port):
            await inside.expect("connection")
            for _ in range(5):
                async with connect(server.port) as refused:
                    reply = await refused.answer()
                    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
                    assert json.loads(reply.body)["status"] == 503
            inside.say("ping")
            await inside.expect("pong")
        assert keeper.refused == 5
        refused = (AssertionError, ConnectionError, asyncio.IncompleteReadError)
        await eventually(lambda: _serves(server), lambda _: True, ceiling_s=5, in_vain=refused)


async def test_bytes_after_the_handshake_request_are_not_smuggled(server: Running) -> None:
    """A second request in the same packet is not answered as HTTP, and does not reach the application."""
    async with connect(server.port) as client:
        client.send(upgrade_request(**BEARER) + b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 101
        opcode, payload = await client.read_frame()
        assert (opcode, b'"connected"' in payload) == (TEXT, True)


async def test_sockets_inherit_the_kernels_deadline(server: Running) -> None:
    """Bytes that stay unacknowledged for 20 s end the connection, whatever we do (reliability.md finding 1)."""
    async with upgraded(server.port, **BEARER) as client:
        await client.expect("connection")
        session = next(iter(server.hub._board.registry))
        transport = session.socket.stream  # type: ignore[attr-defined]
        option = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert option == 20_000


async def test_coming_and_going_leaves_nothing_behind(server: Running, closed: asyncio.Queue[ConnectionInfo]) -> None:
    """After many connections that end in every way, counts are as at the start."""

    async def visit(n: int) -> None:
        async with upgraded(server.port, Authorization=f"Bearer user-{n + 1}") as client:
            client.say("subscribe", id=1, room_id="app:x", presence=True)
            await client.expect("reply")
            if n % 3 == 0:
                client.send(frame(0x8, b"\x03\xe8"))
                assert await client.close_code() == 1000
            elif n % 3 == 1:
                client.send(frame(TEXT, b"\xff"))
                assert await client.close_code() == 1007

    for _ in range(3):
        await asyncio.gather(*(visit(n) for n in range(20)))
    for _ in range(60):
        await _next(closed)
    numbers = server.hub.statistics()
    assert (numbers.connections, numbers.users, numbers.tasks, numbers.outbox_bytes) == (0, 0, 0, 0)
    assert all(len(room) == 0 for room in server.hub.each_room())
    assert numbers.failures == {}


ANY_FRAME = st.builds(
    lambda opcode, payload, fin, rsv, masked: frame(opcode, payload, fin=fin, rsv=rsv, masked=masked),
    st.integers(0, 15),
    st.one_of(
        st.binary(max_size=200),
        st.sampled_from(
            [b"{}", b"[]", b"null", b'{"type":"subscribe"}', b'{"type":"publish","room_id":"app:x","data":NaN}']
        ),
    ),
    st.booleans(),
    st.sampled_from([0, 0, 0, 0, 1, 4]),
    st.sampled_from([True, True, True, False]),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(ANY_FRAME, st.binary(max_size=60)), max_size=12))
def test_any_bytes_end_in_a_legal_state_or_a_named_close(frames: list[bytes]) -> None:
    """A byte-level fuzzer: no callback fails, and the server serves the next client."""

    async def run() -> None:
        async with running(make_hub()) as server:
            async with upgraded(server.port, **BEARER) as attacker:
                attacker.send(b"".join(frames) + frame(0x8, b"\x03\xe8"))
                code = await _outcome(attacker)
                assert code is None or code in range(1000, 1016) or code in range(3000, 5000)
            await _serves(server)
            assert server.hub.statistics().failures == {}

    asyncio.run(run())


async def _outcome(client: RawClient) -> int | None:
    try:
        return await client.close_code(0.3)
    except TimeoutError:
        return None
