"""The fault proxy itself: each fault does what it says, so that tests built on it mean something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.fault_proxy import FaultProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """A proxy in front of an echo."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # reset by the proxy, as asked
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as made:
        yield made


async def _connect(proxy: FaultProxy) -> Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def _echo(streams: Streams, data: bytes) -> bytes:
    """Send ``data`` and return as many bytes."""
    reader, writer = streams
    writer.write(data)
    async with asyncio.timeout(45):
        return await reader.readexactly(len(data))


async def _ends(streams: Streams) -> bytes:
    """Return what comes until the connection is reset."""
    reader, writer = streams
    received = bytearray()

    async def drain() -> None:
        while data := await reader.read(65536):
            received.extend(data)

    async with asyncio.timeout(45):
        with pytest.raises(ConnectionResetError):
            await drain()
    writer.transport.abort()
    return bytes(received)


async def test_passes_everything(proxy: FaultProxy) -> None:
    """Without a fault every byte goes through, both ways, on every connection."""
    data = bytes(range(256)) * 4_000
    for _ in range(2):
        streams = await _connect(proxy)
        assert await _echo(streams, data) == data
        streams[1].close()
        await streams[1].wait_closed()
    assert proxy.accepted == 2


async def test_cuts_after_exactly_so_many_bytes(proxy: FaultProxy) -> None:
    """The client gets the bytes up to the cut and then a reset; the next connection is whole."""
    streams = await _connect(proxy)
    proxy.cut_after = 1_000
    streams[1].write(b"x" * 5_000)
    assert await _ends(streams) == b"x" * 1_000
    again = await _connect(proxy)
    assert await _echo(again, b"y" * 5_000) == b"y" * 5_000
    again[1].transport.abort()


async def test_black_hole_holds_and_lets_go(proxy: FaultProxy) -> None:
    """Old and new connections hear nothing; afterwards what was held flows on."""
    old = await _connect(proxy)
    assert await _echo(old, b"1") == b"1"
    proxy.set("blackhole")
    new = await _connect(proxy)
    echoes = [asyncio.create_task(_echo(streams, b"2")) for streams in (old, new)]
    await proxy.wait_accepted(2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not any(echo.done() for echo in echoes)
    proxy.set("pass")
    assert await asyncio.gather(*echoes) == [b"2", b"2"]
    for _, writer in (old, new):
        writer.transport.abort()


async def test_holds_one_connection_only(proxy: FaultProxy) -> None:
    """What is written on the held one is swallowed; its neighbour goes on."""
    held, free = await _connect(proxy), await _connect(proxy)
    await proxy.wait_accepted(2)
    proxy.hold(0)
    swallowed = asyncio.create_task(_echo(held, b"lost"))
    for number in range(20):
        assert await _echo(free, b"%d" % number) == b"%d" % number
    assert not swallowed.done()
    held[1].transport.abort()
    free[1].transport.abort()
    await asyncio.gather(swallowed, return_exceptions=True)


async def test_refuses_and_resets(proxy: FaultProxy) -> None:
    """Refusing resets new connections and leaves old ones; reset() ends those."""
    old = await _connect(proxy)
    assert await _echo(old, b"1") == b"1"
    proxy.set("refuse")
    assert await _ends(await _connect(proxy)) == b""
    assert await _echo(old, b"2") == b"2"
    proxy.reset()
    assert await _ends(old) == b""
