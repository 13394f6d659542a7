"""One WebSocket of a client that outlives servers: opens, speaks, hears, and notices the end. It knows no rooms.

It shares no code with the hub; frames are those of ``tests.support.crowd``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from tests.support.crowd import CLOSE, PING, PONG, TEXT, client_frame, handshake, take_frame

# A server that was killed refuses at once; one that thousands come to at a time may take this long to say welcome.
WELCOME_S = 30.0

Message = dict[str, Any]


class Refused(ConnectionError):
    """The server did not let us in.

    Attributes:
        code: HTTP status, or the close frame's code.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"refused with {code}")
        self.code = code


class Wire(asyncio.Protocol):
    """See the module's text.

    Args:
        heard: Gets every message.
        ended: Called once, when nothing more can come.

    Attributes:
        code: Of the server's close frame; None without one.
        alive: Whether messages may still come.
    """

    def __init__(self, heard: Callable[[Wire, Message], None], ended: Callable[[Wire], None]) -> None:
        self._heard = heard
        self._ended = ended
        self._buffer = bytearray()
        self._sequence = 0
        self._status = 0
        self._transport: asyncio.Transport | None = None
        self.welcome: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.code: int | None = None
        self.alive = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self.alive = True

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        if not self.alive:
            return
        self._buffer += data
        if not self._status and not self._take_head():
            return
        while self.alive and (frame := take_frame(self._buffer)) is not None:
            self._take(*frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._end()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self._transport is not None and self.alive:
            self._transport.write(data)

    def say(self, kind: str, **members: Any) -> None:
        """Send a message."""
        self.send(client_frame(TEXT, json.dumps({"type": kind, **members}).encode()))

    def cut(self) -> None:
        """Lose the connection, without a word to the server. Idempotent."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._status = int(self._buffer.split(b" ", 2)[1])
        del self._buffer[: end + 4]
        if self._status != 101:
            self.code = self._status
            self.cut()
        return self.alive

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            message = msgspec.json.decode(payload)
            self._sequence += 1
            assert message["sequence"] == self._sequence, "a hole in the connection's numbering"
            if not self.welcome.done() and message["type"] == "connection" and message["status"] == "connected":
                self.welcome.set_result(message)
            self._heard(self, message)
        elif opcode == PING:
            self.send(client_frame(PONG, payload))
        elif opcode == CLOSE:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.send(client_frame(CLOSE, payload[:2]))
            self._end()

    def _end(self) -> None:
        if not self.alive:
            return
        self.alive = False
        if not self.welcome.done():
            self.welcome.set_exception(Refused(self.code or 1006))
            # Looked at here, in case that nobody waits any more.
            self.welcome.exception()
        self._ended(self)


async def open_wire(
    port: int,
    headers: Mapping[str, str],
    heard: Callable[[Wire, Message], None] = lambda wire, message: None,
    ended: Callable[[Wire], None] = lambda wire: None,
) -> Wire:
    """Connect, and return once welcomed.

    Raises:
        OSError: Nobody listens, it ended before the welcome, or (Refused) it said no.
        TimeoutError: No word for WELCOME_S.
    """
    async with asyncio.timeout(WELCOME_S):
        _, wire = await asyncio.get_running_loop().create_connection(lambda: Wire(heard, ended), "127.0.0.1", port)
        try:
            wire.send(handshake(port, "/ws", headers))
            await wire.welcome
        except BaseException:
            wire.cut()
            raise
        return wire
