"""A handshake that comes whole meets no HTTP parser of uvicorn; nobody may be able to tell the difference."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from tests.support.hub_server import ORIGIN, Doorman, Running, make_hub, running
from tests.support.ws_client import WAIT_S, connect, upgrade_request

BEARER = {"Authorization": "Bearer user-1"}
PLAIN = upgrade_request(Origin=ORIGIN, Cookie="tidewire_session=user-1", User_Agent="Test/1.0 (like a browser)")
NO_END = PLAIN[:-2]

# Every oddity that two parsers of HTTP are known to read differently, and what is to be refused either way.
ODD = {
    "plain": PLAIN,
    "query": upgrade_request("/ws?token=user-1"),
    "bearer": upgrade_request(**BEARER),
    "admin": upgrade_request("/ws/admin-dashboard", **BEARER),
    "nobody": upgrade_request(),
    "foreign origin": upgrade_request(Origin="https://evil.example", **BEARER),
    "cookie without origin": upgrade_request(Cookie="tidewire_session=user-1"),
    "no upgrade": upgrade_request(Upgrade=""),
    "other upgrade": upgrade_request(Upgrade="h2c"),
    "upgrade list": upgrade_request(Upgrade="websocket, h2c"),
    "upgrade in capitals": upgrade_request(Upgrade="WebSocket", **BEARER),
    "second upgrade": NO_END + b"Upgrade: h2c\r\n\r\n",
    "second connection": NO_END + b"Connection: close\r\n\r\n",
    "connection close": upgrade_request(Connection="close"),
    "bad key": upgrade_request(Sec_WebSocket_Key="short"),
    "version": upgrade_request(Sec_WebSocket_Version="12"),
    "second version": NO_END + b"Sec-WebSocket-Version: 12\r\n\r\n",
    "other subprotocol": upgrade_request(Sec_WebSocket_Protocol="nope", **BEARER),
    "content length": NO_END + b"Content-Length: 0\r\n\r\n",
    "body": NO_END + b"Content-Length: 4\r\n\r\nbody",
    "chunked": NO_END + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths": NO_END + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    "expect": NO_END + b"Expect: 100-continue\r\n\r\n",
    "folded": NO_END + b"X-A: b\r\n c\r\n\r\n",
    "space before the colon": NO_END + b"X-A : b\r\n\r\n",
    "no colon": NO_END + b"nonsense\r\n\r\n",
    "empty name": NO_END + b": b\r\n\r\n",
    "zero byte": NO_END + b"X-A: b\0c\r\n\r\n",
    "beyond ascii": NO_END + b"X-A: \xff\r\n\r\n",
    "bare line feed": PLAIN.replace(b"\r\n", b"\n"),
    "bare carriage return": NO_END + b"X-A: b\rc\r\n\r\n",
    "version 1.0": PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "post": PLAIN.replace(b"GET", b"POST"),
    "head": PLAIN.replace(b"GET", b"HEAD"),
    "absolute": PLAIN.replace(b"GET /ws", b"GET http://test/ws"),
    "encoded path": PLAIN.replace(b"GET /ws", b"GET /%77s"),
    "path below": PLAIN.replace(b"GET /ws", b"GET /ws/more"),
    "double slash": PLAIN.replace(b"GET /ws", b"GET //ws"),
    "other path": PLAIN.replace(b"GET /ws", b"GET /other"),
    "long": upgrade_request(X_A="x" * 70_000),
    "two requests": PLAIN + b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n",
}


@pytest.fixture
async def short() -> AsyncIterator[Running]:
    """A server as it is."""
    async with running(make_hub(Doorman()), connections_per_ip=1_000) as server:
        yield server


@pytest.fixture
async def long() -> AsyncIterator[Running]:
    """The same without the short way."""
    async with running(make_hub(Doorman()), connections_per_ip=1_000) as server:
        server.doorkeeper.shortcut = None
        yield server


async def status(server: Running, data: bytes) -> str:
    """Return the status of the answer, and the subprotocol; what neither answers is cut by us."""
    async with connect(server.port) as client:
        client.send(data)
        client.writer.write_eof()
        try:
            reply = await client.answer()
        except (asyncio.IncompleteReadError, ConnectionError):
            return "ended"
        return f"{reply.status} {reply.headers.get('sec-websocket-protocol')}"


async def test_the_short_way_and_the_long_one_answer_alike(short: Running, long: Running) -> None:
    """Whatever the head, both ways give the same status and subprotocol, and count the same refusals."""
    by_short = {name: await status(short, data) for name, data in ODD.items()}
    assert by_short == {name: await status(long, data) for name, data in ODD.items()}
    assert short.gateway.refused == long.gateway.refused
    assert by_short["plain"] == "101 None"
    assert by_short["second connection"] != by_short["plain"]


async def test_damaged_heads_are_answered_alike(short: Running, long: Running) -> None:
    """Two hundred handshakes with a byte changed, lost or put in."""
    chance = random.Random(7)
    for _ in range(200):
        damaged = bytearray(PLAIN)
        # The request's target is left out: what other paths answer is the application's.
        at = chance.randrange(8, len(damaged) - 4)
        damaged[at : at + chance.randrange(2)] = bytes(
            chance.choices(b"\r\n\t :;,=\0\x7f\xe9aZ0", k=chance.randrange(2))
        )
        assert await status(short, bytes(damaged)) == await status(long, bytes(damaged)), bytes(damaged)


async def test_a_browser_takes_the_short_way_and_nobody_is_refused_on_it(short: Running) -> None:
    """The short way takes who is accepted; whom it does not take is refused by the long one, and counted once."""
    shown = short.doorkeeper.shortcut
    assert shown is not None
    taken: list[bool] = []

    def note(transport: asyncio.Transport, data: bytes) -> bool:
        taken.append(shown(transport, data))
        return taken[-1]

    short.doorkeeper.shortcut = note
    assert await status(short, PLAIN) == "101 None"
    assert await status(short, ODD["foreign origin"]) == "403 None"
    assert taken == [True, False]
    assert short.gateway.refused == {403: 1}


@pytest.mark.parametrize("way", ["short", "long"])
async def test_the_upgrade_is_answered_while_the_credentials_are_checked(way: str) -> None:
    """The answer may leave together with the welcome, but it never waits for it."""
    doorman = Doorman(hold=asyncio.Event())
    async with running(make_hub(doorman)) as server:
        if way == "long":
            server.doorkeeper.shortcut = None
        async with connect(server.port) as client, asyncio.timeout(WAIT_S):
            client.send(PLAIN)
            assert (await client.answer()).status == 101
            assert doorman.hold is not None
            doorman.hold.set()
            await client.expect("connection", status="connected")


async def test_a_silent_connection_is_closed_when_the_server_ends() -> None:
    """Also one that has said nothing, for which none of uvicorn's parts exist yet."""
    async with running(make_hub()) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        # Another connection is served after this one has been accepted.
        assert (await status(server, PLAIN)).startswith("101")
    async with asyncio.timeout(WAIT_S):
        assert await reader.read() == b""
    writer.close()
