"""A WebSocket client on a bare TCP socket that stops reading, as a suspended laptop or an attacker does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator

from tests.support.admin import ORIGIN


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Return one masked frame; the mask is zero, which the protocol permits and keeps the bytes readable."""
    length = len(payload)
    head = bytes([0x80 | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    else:
        head += bytes([0x80 | 126]) + struct.pack("!H", length)
    return head + b"\0\0\0\0" + payload


class StuckPeer:
    """Reads only when asked to. The receive buffer is small, so that the server soon feels it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        """Send bytes; waits while the server does not take them."""
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def join(self) -> str:
        """Join /admin-ws and return the sid; nothing is read afterwards."""
        await self.text()
        await self.send(client_frame(1, b"40/admin-ws,"))
        answer = await self.text()
        assert answer.startswith('40/admin-ws,{"sid":"'), answer
        return answer.split('"')[3]

    async def text(self) -> str:
        """Read one text frame."""
        head = await self._read(2)
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", await self._read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self._read(8))
        return (await self._read(length)).decode()

    async def until_reset(self) -> None:
        """Read what is left until the connection is gone."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while await loop.sock_recv(self.sock, 65536):
                pass

    async def _read(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
            assert data, "the server closed"
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


@contextlib.asynccontextmanager
async def stuck_peer(
    port: int, path: str = "/socket.io/?EIO=4&transport=websocket", cookie: str = "ada"
) -> AsyncIterator[StuckPeer]:
    """Connect and upgrade."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        peer = StuckPeer(sock)
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {ORIGIN}\r\n"
            f"Cookie: session={cookie}\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await peer.send(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await peer._read(1)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        yield peer
