"""A scripted raw WebSocket client: says exactly what it is told, byte by byte if need be, and shows what comes back."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from tests.support.tape_socket import messages_of

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 0x1, 0x2, 0x0, 0x8, 0x9, 0xA
# A ceiling, not a delay: what does not come at all costs a test so long.
WAIT_S = 45.0


# Always the same, so that a test has the same name and sends the same bytes in every run.
MASK = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """Return a client frame (RFC 6455 section 5.2)."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65_536:
        head += struct.pack("!BH", bit | 126, len(payload))
    else:
        head += struct.pack("!BQ", bit | 127, len(payload))
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[n % 4] for n, byte in enumerate(payload))


def upgrade_request(path: str = "/ws", **headers: str) -> bytes:
    """Return a handshake request; headers by name with underscores, empty ones left out."""
    lines = {
        "Host": "test",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"GET {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class RawClient:
    """One TCP connection to the server under test."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    messages: list[dict[str, Any]] = field(default_factory=list)
    control: list[tuple[int, bytes]] = field(default_factory=list)

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)

    def say(self, kind: str, **members: Any) -> None:
        """Send one JSON message."""
        self.send(frame(TEXT, json.dumps({"type": kind, **members}).encode()))

    async def answer(self) -> Reply:
        """Read an HTTP answer."""
        async with asyncio.timeout(WAIT_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Reply(int(status_line.split(" ")[1]), headers, body)

    async def read_frame(self, wait_s: float = WAIT_S) -> tuple[int, bytes]:
        """Read one frame from the server."""
        async with asyncio.timeout(wait_s):
            first, second = await self.reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            return first & 0xF, await self.reader.readexactly(length)

    async def expect(self, kind: str, **wanted: Any) -> dict[str, Any]:
        """Read until a message of that type with those members comes, and return it."""
        while True:
            for n, message in enumerate(self.messages):
                if message["type"] == kind and all(message.get(key) == value for key, value in wanted.items()):
                    del self.messages[: n + 1]
                    return message
            opcode, payload = await self.read_frame()
            if opcode == TEXT:
                self.messages += messages_of(payload)
            else:
                self.control.append((opcode, payload))
                assert opcode != CLOSE, f"closed: {payload!r} while waiting for {kind}; had {self.messages}"

    async def close_code(self, wait_s: float = WAIT_S) -> int | None:
        """Read until the close frame, answer nothing; None if the connection ends without one."""
        try:
            while True:
                opcode, payload = await self.read_frame(wait_s)
                if opcode == TEXT:
                    self.messages += messages_of(payload)
                elif opcode == CLOSE:
                    return int.from_bytes(payload[:2], "big") if payload else 1005
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def ended(self, wait_s: float = WAIT_S) -> None:
        """Wait until the server has ended the TCP connection."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(wait_s):
                while await self.reader.read(65_536):
                    pass


@contextlib.asynccontextmanager
async def connect(port: int, *, receive_bytes: int | None = None) -> AsyncIterator[RawClient]:
    """Open a TCP connection; ``receive_bytes`` makes the receive buffer small, for clients that do not read."""
    peer = socket.socket()
    if receive_bytes is not None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", port))
    # A small limit makes asyncio stop reading soon when nobody asks for data.
    reader, writer = await asyncio.open_connection(sock=peer, limit=65_536 if receive_bytes is None else 1_024)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def upgraded(
    port: int, path: str = "/ws", *, receive_bytes: int | None = None, **headers: str
) -> AsyncIterator[RawClient]:
    """Open a WebSocket; ``headers`` as for ``upgrade_request``."""
    async with connect(port, receive_bytes=receive_bytes) as client:
        client.send(upgrade_request(path, **headers))
        reply = await client.answer()
        assert reply.status == 101, reply
        yield client
