"""The gateway on a real port: the hub beside HTTP and other WebSockets, and RFC 6455 conduct by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import websockets

from tests.support.hub_server import ORIGIN, Running, fast_options, make_hub, running
from tests.support.ws_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    connect,
    frame,
    upgrade_request,
    upgraded,
)
from tidewire.core import protocol
from tidewire.hub.census import ConnectionQuery
from tidewire.hub.registry import ConnectionInfo
from tidewire.web import conduct

BEARER = {"Authorization": "Bearer user-1"}


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """A hub with the production deadlines."""
    async with running(make_hub()) as made:
        yield made


async def test_hub_http_and_other_sockets_share_the_port(server: Running) -> None:
    """Each request finds its own: the hub, the application's WebSocket, the application's page."""
    async with upgraded(server.port, **BEARER) as client:
        assert (await client.expect("connection"))["status"] == "connected"
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/other") as other:
            for word in ("one", "two"):
                await other.send(word)
                assert await other.recv() == word
    async with connect(server.port) as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads((await client.answer()).body) == {"hello": "world"}
        # The same connection may be upgraded afterwards.
        client.send(upgrade_request(**BEARER))
        assert (await client.answer()).status == 101
        await client.expect("connection", status="connected")


@pytest.mark.parametrize("batch", [False, True])
async def test_an_ordinary_library_can_talk_to_the_hub(batch: bool) -> None:
    """The websockets package, cookie and Origin: subscribe, publish from the server, close."""
    closed: asyncio.Queue[ConnectionInfo] = asyncio.Queue()
    async with running(make_hub(closed=closed.put_nowait)) as server:
        await _converse(server, batch, closed)


async def _converse(server: Running, batch: bool, closed: asyncio.Queue[ConnectionInfo]) -> None:
    name = protocol.BATCH if batch else protocol.PLAIN
    headers = {"Cookie": "tidewire_session=admin-3"}
    async with websockets.connect(server.url, origin=ORIGIN, additional_headers=headers, subprotocols=[name]) as client:
        assert client.subprotocol == name
        await client.recv()
        await client.send(json.dumps({"type": "subscribe", "room_id": "app:x"}))
        while "app:x" not in str(await client.recv()):
            pass
        assert server.hub.publish("app:x", protocol.data_body(b'{"text":"h\xc3\xa9"}')).reached == 1
        assert "hé" in str(await client.recv())
    async with asyncio.timeout(45):
        record = await closed.get()
    assert record.close_code == 1000
    assert server.hub.connection_count() == 0


async def test_an_unknown_subprotocol_is_closed_by_name(server: Running) -> None:
    """Upgraded without one, then 4506."""
    async with upgraded(server.port, Sec_WebSocket_Protocol="nope", **BEARER) as client:
        assert await client.close_code() == 4506
        assert client.messages[-1]["reconnect"] == "never"


async def test_a_foreign_origin_gets_403_and_no_upgrade(server: Running) -> None:
    """A problem document instead of a socket."""
    async with connect(server.port) as client:
        client.send(upgrade_request(Origin="https://evil.example", **BEARER))
        reply = await client.answer()
        assert (reply.status, reply.headers["content-type"]) == (403, "application/problem+json")
        await client.ended()
    assert server.gateway.refused == {403: 1}


async def test_a_draining_node_refuses_newcomers(server: Running) -> None:
    """503 with a time to come back; those inside get 4000."""
    async with upgraded(server.port, **BEARER) as inside, connect(server.port) as client:
        await inside.expect("connection")
        drained = asyncio.create_task(server.hub.drain(0.05))
        assert await inside.close_code() == 4000
        inside.send(frame(CLOSE, (4000).to_bytes(2, "big")))
        client.send(upgrade_request(**BEARER))
        reply = await client.answer()
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
        assert await drained == 1


async def test_a_full_node_refuses_and_disturbs_nobody() -> None:
    """At the cap every newcomer gets 503, and those inside stay."""
    async with running(make_hub(), max_connections=2) as server:
        async with upgraded(server.port, **BEARER) as first, upgraded(server.port, **BEARER):
            await first.expect("connection")
            for _ in range(3):
                async with connect(server.port) as client:
                    client.send(upgrade_request(**BEARER))
                    assert (await client.answer()).status == 503
            first.say("ping")
            await first.expect("pong")
        assert server.gateway.refused == {503: 3}


async def test_an_address_may_not_park_nameless_connections() -> None:
    """Beyond the limit 429; who shows credentials still comes in."""
    async with (
        running(make_hub(), connections_per_ip=1) as server,
        upgraded(server.port),
        connect(server.port) as client,
        upgraded(server.port, **BEARER) as known,
    ):
        await known.expect("connection")
        client.send(upgrade_request())
        assert (await client.answer()).status == 429


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(TEXT, b"x", masked=False)], 1002),
        ([frame(TEXT, b"x", rsv=1)], 1002),
        ([frame(0x3, b"x")], 1002),
        ([frame(PING, b"x" * 126)], 1002),
        ([frame(PING, b"x", fin=False)], 1002),
        ([frame(CONTINUATION, b"x")], 1002),
        ([frame(TEXT, b"x", fin=False), frame(TEXT, b"y")], 1002),
        ([frame(TEXT, b"\xff")], 1007),
        ([frame(TEXT, b"\xc3", fin=False), frame(CONTINUATION, b"\x28")], 1007),
        ([frame(BINARY, b"x")], 1003),
        ([frame(TEXT, b"x" * 65_537)], 1009),
        ([b"\x81\xff" + (2**63 - 1).to_bytes(8, "big") + b"mask"], 1009),
        ([b"\x81\xff" + (2**63).to_bytes(8, "big") + b"mask"], 1002),
        ([frame(TEXT, b"x", fin=False), *[frame(CONTINUATION, b"", fin=False)] * 70], 1009),
        ([frame(CLOSE, b"\x03")], 1002),
        ([frame(CLOSE, (1005).to_bytes(2, "big"))], 1002),
        ([frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff")], 1007),
        ([frame(CLOSE, (4999).to_bytes(2, "big"))], 4999),
        ([frame(CLOSE)], 1005),
        ([frame(PING, b"x")] * 300, 1008),
    ],
)  # fmt: skip
async def test_breaches_of_the_protocol_are_closed_by_code(server: Running, frames: list[bytes], code: int) -> None:
    """RFC 6455 section 7.4, and the connection ends whether or not the client answers."""
    async with upgraded(server.port, **BEARER) as client:
        await client.expect("connection")
        client.send(b"".join(frames))
        assert await client.close_code() == code
        await client.ended()


async def test_fragments_and_pings_between_them(server: Running) -> None:
    """A message in pieces is one message; a ping between the pieces is answered at once."""
    async with upgraded(server.port, **BEARER) as client:
        whole = json.dumps({"type": "ping", "id": "hé"}, ensure_ascii=False).encode()
        client.send(frame(TEXT, whole[:20], fin=False) + frame(PING, b"mid") + frame(CONTINUATION, whole[20:]))
        assert (await client.expect("reply"))["id"] == "hé"
        assert (PONG, b"mid") in client.control


async def test_any_split_of_the_bytes_reads_the_same(server: Running) -> None:
    """One byte at a time."""
    async with upgraded(server.port, **BEARER) as client:
        await client.expect("connection")
        for byte in frame(TEXT, b'{"type":"ping","id":7}'):
            client.send(bytes([byte]))
            await client.writer.drain()
            await asyncio.sleep(0)
        assert (await client.expect("reply"))["id"] == 7


async def test_a_message_that_is_never_finished_is_given_up(monkeypatch: pytest.MonkeyPatch, server: Running) -> None:
    """The deadline is the frame layer's own: pings in between do not extend it."""
    monkeypatch.setattr(conduct, "FRAGMENT_DEADLINE_S", 0.2)
    async with upgraded(server.port, **BEARER) as client:
        await client.expect("connection")
        client.send(frame(TEXT, b"{", fin=False) + frame(PING, b"x"))
        assert await client.close_code() == 1008
        await client.ended()


async def test_a_failure_of_ours_closes_that_socket_alone(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """1011, logged and not taken for the peer's fault; the next client is served."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(server.hub, "open", broken)
        async with upgraded(server.port, **BEARER) as client:
            assert await client.close_code() == 1011
            await client.ended()
        patch.undo()
        patch.setattr(server.hub, "receive", broken)
        async with upgraded(server.port, **BEARER) as client:
            client.say("ping")
            assert await client.close_code() == 1011
            await client.ended()
    assert server.gateway.protocol_errors == 0
    async with upgraded(server.port, **BEARER) as client:
        await client.expect("connection")


async def test_silence_and_the_dead_are_closed() -> None:
    """No credentials: 4105. No sign of life: 4004. A reader that answers pings stays."""
    async with running(make_hub(options=fast_options())) as server:
        async with upgraded(server.port) as nameless:
            assert await nameless.close_code() == 4105
            await nameless.ended()
        async with (
            upgraded(server.port, **BEARER) as dead,
            websockets.connect(server.url, additional_headers=BEARER) as alive,
        ):
            assert await dead.close_code() == 4004
            await dead.ended()
            await alive.send('{"type":"ping","id":1}')
            while '"reply"' not in str(await alive.recv()):
                pass
            info = next(c for c in server.hub.list_connections(ConnectionQuery()).rows if c.state == "open")
            assert info.round_trip_ms is not None
