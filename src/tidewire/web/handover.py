"""Gives an accepted connection to picows, with as little of picows' own handshake as it lets one leave out.

Measured per connect: picows' parser, its answer (a write of its own) and its questions about the socket cost 65
microseconds of CPU. Here it gets an empty request with the checked headers put in, an answer whose bytes leave with
the first message, and no socket to ask. It must not know the hub or how handshakes are judged.
Source: picows 2.3.1, ``WSProtocol._negotiate``, ``WSProtocol.connection_made``, ``WSTransport.__init__``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from multidict import CIMultiDict
from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from tidewire.web.conduct import MAX_MESSAGE_BYTES, Conduct

READ_BUFFER_BYTES = 1_024
# Everything that picows checks is in the headers, and those it reads after it has asked for the answer.
_REQUEST = b"GET /ws HTTP/1.1\r\n\r\n"


def hand_over(transport: asyncio.Transport, key: str, subprotocol: str | None, listener: Conduct) -> None:
    """Give an asyncio transport to picows, as if the client had just sent its handshake to it.

    The transport must be paused: uvloop chooses between its two ways of reading when reading starts, and picows reads
    in the other way (``BufferedProtocol``) than the protocol before it.

    Args:
        key: Sec-WebSocket-Key, checked.
    """

    def answer(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        request.headers = CIMultiDict(
            {
                "upgrade": "websocket",
                "connection": "upgrade",
                "sec-websocket-version": "13",
                "sec-websocket-key": key,
            }
        )
        return WSUpgradeResponseWithListener(_Switching(subprotocol, listener), listener)

    protocol: Any = WSProtocol(
        None,  # host_port: clients only
        None,  # ws_path: clients only
        False,  # is_client_side
        answer,
        listener,  # logger: what picows says about this socket
        True,  # disconnect_on_exception
        None,  # websocket_handshake_timeout: the handshake is complete already
        False,  # enable_auto_ping: the hub asks itself
        0,
        0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,  # enable_auto_pong: limited in conduct.py
        MAX_MESSAGE_BYTES,
        None,  # extra_headers: clients only
        READ_BUFFER_BYTES,
    )
    listener.stream = transport
    transport.set_protocol(protocol)
    protocol.connection_made(_Likeness(transport))
    buffer = protocol.get_buffer(-1)
    buffer[: len(_REQUEST)] = _REQUEST
    protocol.buffer_updated(len(_REQUEST))
    if not transport.is_closing() and not listener.reading_held:
        transport.resume_reading()


class _Switching(WSUpgradeResponse):
    """The answer 101. picows wants to write it at once; it gets no bytes, the listener has them to send."""

    __slots__ = ("_listener", "_subprotocol")

    status = HTTPStatus.SWITCHING_PROTOCOLS

    def __init__(self, subprotocol: str | None, listener: Conduct) -> None:
        self._subprotocol = subprotocol
        self._listener: Conduct | None = listener
        self.headers = CIMultiDict()

    def to_bytes(self) -> bytearray:
        """Give the answer to the listener."""
        listener, self._listener = self._listener, None
        if listener is not None:
            chosen = f"\r\nSec-WebSocket-Protocol: {self._subprotocol}" if self._subprotocol is not None else ""
            listener.answer = (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                f"Sec-WebSocket-Accept: {self.headers['Sec-WebSocket-Accept']}{chosen}\r\n\r\n"
            ).encode("ascii")
        return bytearray()


class _Likeness:
    """What picows takes for the transport: the same, but options that are set already cost no system calls."""

    __slots__ = ("_transport",)

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    # ---- as a transport

    def get_extra_info(self, name: str) -> object:
        if name == "socket":
            return self
        return self._transport.get_extra_info(name) if name == "ssl_object" else None

    @property
    def write(self) -> Callable[[bytes], None]:
        return self._transport.write

    @property
    def get_write_buffer_size(self) -> Callable[[], int]:
        return self._transport.get_write_buffer_size

    @property
    def writelines(self) -> Callable[[list[bytes]], None]:
        return self._transport.writelines

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # ---- as its socket

    def fileno(self) -> int:
        number: int = self._transport.get_extra_info("socket").fileno()
        return number

    def setsockopt(self, *_: object) -> None:
        """asyncio and uvloop have set TCP_NODELAY; quick acknowledgements are the kernel's choice."""

    def getsockopt(self, *_: object) -> int:
        """What picows would write into a log that nobody keeps."""
        return 0
