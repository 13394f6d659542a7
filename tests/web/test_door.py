"""The door on a real server and real sockets: what ASGI transports in memory cannot show."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn
import websockets

from tests.support.accounts import SECRET
from tests.web.conftest import with_routes
from tidewire.accounts.service import Accounts
from tidewire.web.http import Door, create_http
from tidewire.web.security import HttpSecurity
from tidewire.web.templating import Templates


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def door(accounts: Accounts, templates: Templates, listener: socket.socket) -> Door:
    """The application that knows this port as its own."""
    rules = HttpSecurity.build(host="127.0.0.1", port=listener.getsockname()[1])
    return with_routes(create_http(version="0", accounts=accounts, templates=templates, rules=rules, secret_key=SECRET))


@pytest.fixture
async def port(door: Door, listener: socket.socket) -> AsyncIterator[int]:
    """The port of a running server."""
    config = uvicorn.Config(door.app, lifespan="off", log_level="critical", access_log=False, server_header=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    yield listener.getsockname()[1]
    server.should_exit = True
    await task


async def send(port: int, *parts: bytes) -> tuple[str, bytes]:
    """Write ``parts`` to the server and return the status line and everything until it closes."""
    async with asyncio.timeout(45):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    return answer.partition(b"\r\n")[0].decode(), answer


async def test_an_endless_body_is_cut(port: int) -> None:
    """A chunked body without end gets 413, and the connection is closed although more was to come."""
    head = f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    status, answer = await send(port, head, *[chunk] * 5)
    assert status.startswith("HTTP/1.1 413")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"


async def test_an_announced_body_is_not_read(port: int) -> None:
    """A gigabyte announced is refused before a byte of it was sent."""
    head = f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 1000000000\r\n\r\n".encode()
    status, _ = await send(port, head)
    assert status.startswith("HTTP/1.1 413")


@pytest.mark.parametrize("lines", ["", "Host: evil.example\r\n", "Host: 127.0.0.1\r\nHost: evil.example\r\n"])
async def test_requests_without_one_good_host(port: int, lines: str) -> None:
    """No Host, a foreign one, or two: 400."""
    status, _ = await send(port, f"GET /login HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
    assert status.startswith("HTTP/1.1 400")


async def test_a_websocket_is_judged_before_the_upgrade(port: int) -> None:
    """Ours is accepted, foreign is 403 with a document."""
    url = f"ws://127.0.0.1:{port}/socket"
    async with websockets.connect(url, origin=f"http://127.0.0.1:{port}", proxy=None) as client:
        assert await client.recv() == "nobody"
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(url, origin="https://evil.example", proxy=None)
    assert refused.value.response.status_code == 403
    assert refused.value.response.headers["content-type"] == "application/problem+json"
    assert refused.value.response.headers["x-request-id"]


async def test_a_peer_that_leaves_is_no_fault(port: int, door: Door) -> None:
    """Half a body and gone: the server answers the next request as ever."""
    head = f"POST /echo HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 100\r\n\r\nhalf".encode()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    await writer.drain()
    writer.transport.abort()
    status, _ = await send(port, f"GET /livez HTTP/1.1\r\nHost: h:{port}\r\nConnection: close\r\n\r\n".encode())
    assert status == "HTTP/1.1 200 OK"
    assert door.counters.faults == 0
