"""The hardened protocol against raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.admin import listening, serving
from tests.support.stuck_peer import StuckPeer, client_frame, stuck_peer
from tidewire.web.websocket_protocol import ABORT_EXTENSION, MAX_FRAGMENTS, set_socket_limits

Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def listener(ended: asyncio.Event, scopes: list[dict[str, Any]], accepted: asyncio.Event) -> Application:
    """An application that accepts and then only listens."""

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scopes.append(scope)
        await receive()
        await send({"type": "websocket.accept"})
        accepted.set()
        while (await receive())["type"] != "websocket.disconnect":
            pass
        ended.set()

    return application


async def send_until_cut(peer: StuckPeer, data: bytes, most_bytes: int) -> int:
    """Send ``data`` again and again until the connection breaks; how many bytes were taken."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most_bytes:
            await peer.send(data)
            sent += len(data)
    return sent


async def test_a_ping_flood_without_reading_is_cut() -> None:
    """A peer that sends PINGs and never reads the PONGs is aborted long before it has cost memory."""
    ended, scopes, accepted = asyncio.Event(), [], asyncio.Event()
    async with asyncio.timeout(45), serving(listener(ended, scopes, accepted)) as port, stuck_peer(port) as peer:
        # The kernel's buffers take some megabytes; stock uvicorn takes all 64 and more.
        sent = await send_until_cut(peer, client_frame(9, b"p" * 125) * 500, 64 * 1024 * 1024)
        assert sent < 64 * 1024 * 1024
        await ended.wait()


async def test_a_message_in_endless_pieces_is_cut() -> None:
    """Empty continuation frames have no bytes that a size limit could count."""
    ended, scopes, accepted = asyncio.Event(), [], asyncio.Event()
    async with asyncio.timeout(45), serving(listener(ended, scopes, accepted)) as port, stuck_peer(port) as peer:
        await peer.send(bytes([0x01, 0x80]) + b"\0\0\0\0")
        await send_until_cut(peer, (bytes([0x00, 0x80]) + b"\0\0\0\0") * 256, 100 * MAX_FRAGMENTS)
        await ended.wait()


async def test_the_application_can_abort() -> None:
    """The scope carries an abort that ends the connection although the peer has not read."""
    ended, scopes, accepted = asyncio.Event(), [], asyncio.Event()
    async with asyncio.timeout(45), serving(listener(ended, scopes, accepted)) as port, stuck_peer(port) as peer:
        await accepted.wait()
        scopes[0]["extensions"][ABORT_EXTENSION]["abort"]()
        scopes[0]["extensions"][ABORT_EXTENSION]["abort"]()
        await ended.wait()
        await peer.until_reset()


async def test_pings_of_a_peer_that_reads_are_answered() -> None:
    """The hardening does not touch anybody who behaves."""
    ended, scopes, accepted = asyncio.Event(), [], asyncio.Event()
    async with asyncio.timeout(45), serving(listener(ended, scopes, accepted)) as port, stuck_peer(port) as peer:
        await peer.send(client_frame(9, b"hello"))
        assert await peer.text() == "hello"
        assert not ended.is_set()


def test_accepted_sockets_inherit_the_limits() -> None:
    """Linux hands TCP_USER_TIMEOUT and TCP_NOTSENT_LOWAT of the listener to every connection."""
    with listening() as server, socket.create_connection(server.getsockname()), server.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 65_536


def test_other_sockets_are_left_alone() -> None:
    """A Unix socket has no such option; the caller is told."""
    with socket.socket(socket.AF_UNIX) as other:
        assert not set_socket_limits(other)
