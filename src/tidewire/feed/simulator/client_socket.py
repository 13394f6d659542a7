"""One client's WebSocket on picows: frames in, acts out. It must not know what any message means.

Pongs are sent here and not by picows, so that a stalled connection can leave pings unanswered.
"""

from __future__ import annotations

from typing import Protocol, cast

import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

# 500 tickers times four channels make a subscribe of about 16 KB; the official Go client's own limit is 1,000,000.
MAX_MESSAGE_BYTES = 256 * 1024
MESSAGE_TOO_BIG = 1009

log = structlog.get_logger(__name__)


class Desk(Protocol):
    """What a socket reports to."""

    def welcome(self, socket: ClientSocket) -> int:
        """Take in a socket whose handshake is done; return its number."""
        ...

    def receive(self, number: int, message: bytes) -> None:
        """Take in one whole message."""
        ...

    def deaf(self, number: int) -> bool:
        """Whether everything this connection says is to be ignored now."""
        ...

    def goodbye(self, number: int) -> None:
        """Note that the connection has ended."""
        ...


class ClientSocket(WSListener):
    """Callbacks and writes of one connection.

    Args:
        desk: Whom to report to.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._transport: WSTransport | None = None
        self._number = 0
        self._fragments = bytearray()

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the peer's slowness keeps in memory."""
        return 0 if self._transport is None else self._transport.underlying_transport.get_write_buffer_size()

    def push(self, payload: bytes, *, binary: bool = False) -> None:
        """Send one frame, without waiting. A peer that is gone is no error."""
        if self._transport is not None:
            self._transport.send(WSMsgType.BINARY if binary else WSMsgType.TEXT, payload)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame."""
        if self._transport is not None:
            # picows takes any number; its type names only the registered ones.
            self._transport.send_close(cast("WSCloseCode", code), reason.encode())

    def drop(self, *, flush: bool = False) -> None:
        """End TCP without a close frame, after what is unsent has left if ``flush``."""
        if self._transport is not None:
            self._transport.disconnect(graceful=flush)

    async def wait_ended(self) -> None:
        """Return when TCP has ended."""
        if self._transport is not None:
            await self._transport.wait_disconnected()

    # -- picows calls these ------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Start talking."""
        self._transport = transport
        self._number = self._desk.welcome(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Sort one frame."""
        if self._desk.deaf(self._number):
            return
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            # Answers the peer's close; picows leaves it out if ours was first, and then this ends the linger.
            transport.send_close(frame.get_close_code() or WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type != WSMsgType.PONG:
            self._assemble(frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Report the end."""
        self._desk.goodbye(self._number)

    def pause_writing(self) -> None:
        """Slow readers are judged by ``unsent_bytes``, not by this."""

    def resume_writing(self) -> None:
        """See pause_writing."""

    def _assemble(self, frame: WSFrame) -> None:
        if len(self._fragments) + frame.payload_size > MAX_MESSAGE_BYTES:
            self._fragments.clear()
            log.info("client_message_too_big", connection=self._number)
            self.close(MESSAGE_TOO_BIG, "message too big")
            self.drop(flush=True)
            return
        if frame.fin and not self._fragments:
            self._desk.receive(self._number, frame.get_payload_as_bytes())
            return
        self._fragments += frame.get_payload_as_bytes()
        if frame.fin:
            message = bytes(self._fragments)
            self._fragments.clear()
            self._desk.receive(self._number, message)
