"""uvicorn's WebSocket protocol with the holes closed that a hostile or dead peer can use. It must not know any feature.

Measured on the stock protocol: 200 MB of PINGs from a peer that does not read grew the server by 184 MB, and a peer
that stops reading was never freed, because ``transport.close()`` waits for a buffer that will not drain. Here such a
peer is aborted, and the application gets an ``abort`` of its own through the ASGI scope.
Use: ``uvicorn.Config(app, **websocket_options())`` and ``set_socket_limits`` on every listening socket.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, TypedDict

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from tidewire.core.token_bucket import TokenBucket

# Key in the ASGI scope's extensions; its value is ``{"abort": Callable[[], None]}``.
ABORT_EXTENSION = "tidewire.abort"
# uvicorn stops the application at 64 KiB of unsent bytes; a mebibyte can only come from control frames
# (reliability.md finding 2: the abort then came after 7 MB of PINGs and within 0.1 s).
MAX_WRITE_BUFFER_BYTES = 1024 * 1024
# One message may come in this many pieces; empty continuation frames cost memory but no message bytes.
MAX_FRAGMENTS = 1024
# A message that began must end, seconds; nobody types that slowly (reliability.md 3.2).
FRAGMENT_DEADLINE_S = 10.0
# Pings and pongs of a peer; the hub's own sockets have the same bound (conduct.py).
CONTROL_RATE = 10.0
CONTROL_BURST = 100.0
# Time that a polite peer gets to read our close frame, seconds.
CLOSE_GRACE_S = 1.0
# The largest message any of our channels accepts from a client, bytes (OWASP WebSocket cheat sheet: 64 KB).
MAX_MESSAGE_BYTES = 64 * 1024
# Unacknowledged bytes for this long end the TCP connection, milliseconds (reliability.md finding 1, section 4).
USER_TIMEOUT_MS = 20_000
UNSENT_BYTES = 65_536


class HardenedWebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection of uvicorn, hardened."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rest: asyncio.TimerHandle | None = None
        self._control: TokenBucket | None = None

    def handle_connect(self, event: Request) -> None:
        """Give the application a way to end the connection that does not wait for the peer."""
        super().handle_connect(event)
        # The application's task was created but has not run yet, so it sees the addition.
        if hasattr(self, "scope"):
            self.scope["extensions"][ABORT_EXTENSION] = {"abort": self.abort}

    def data_received(self, data: bytes) -> None:
        """Read; then abort a peer whose own control frames have filled the write buffer."""
        super().data_received(data)
        if self.transport.get_write_buffer_size() > MAX_WRITE_BUFFER_BYTES:
            self.logger.warning("WebSocket peer sends without reading; connection aborted.")
            self.abort()

    def handle_text(self, event: Frame) -> None:
        """Take a frame; if it only begins a message, the rest has to come in time."""
        super().handle_text(event)
        self._await_rest(event)

    def handle_bytes(self, event: Frame) -> None:
        """As ``handle_text``."""
        super().handle_bytes(event)
        self._await_rest(event)

    def handle_ping(self) -> None:
        """Answer, unless there are far too many."""
        if self._may_control():
            super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take it, unless there are far too many."""
        if self._may_control():
            super().handle_pong(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        if self._rest is not None:
            self._rest.cancel()
        super().connection_lost(exc)

    def handle_cont(self, event: Frame) -> None:
        """Refuse a message in absurdly many pieces."""
        super().handle_cont(event)
        if event.fin and self._rest is not None:
            self._rest.cancel()
        if len(self.frames) > MAX_FRAGMENTS:
            self.logger.warning("WebSocket message in more than %d fragments; connection aborted.", MAX_FRAGMENTS)
            self.abort()

    def keepalive_timeout(self) -> None:
        """Close as uvicorn does, and abort soon after: the close waits for a peer that does not answer."""
        super().keepalive_timeout()
        self.loop.call_later(CLOSE_GRACE_S, self.abort)

    def abort(self) -> None:
        """End the TCP connection now, unsent bytes and all. Idempotent."""
        self.transport.abort()

    def _await_rest(self, event: Frame) -> None:
        if not event.fin:
            self._rest = self.loop.call_later(FRAGMENT_DEADLINE_S, self.abort)

    def _may_control(self) -> bool:
        now = self.loop.time()
        if self._control is None:
            self._control = TokenBucket(rate=CONTROL_RATE, burst=CONTROL_BURST, now=now)
        if self._control.take(now):
            return True
        if not self.transport.is_closing():
            self.logger.warning("WebSocket peer sends too many control frames; connection aborted.")
            self.abort()
        return False


class WebSocketOptions(TypedDict):
    """Keyword arguments of uvicorn.Config that belong to the hardened protocol."""

    ws: type[asyncio.Protocol]
    ws_max_size: int
    ws_per_message_deflate: bool


def websocket_options() -> WebSocketOptions:
    """Return what to pass to ``uvicorn.Config``; compression is off (OWASP; it multiplies memory per socket)."""
    return {"ws": HardenedWebSocketProtocol, "ws_max_size": MAX_MESSAGE_BYTES, "ws_per_message_deflate": False}


def set_socket_limits(listener: socket.socket, timeout_ms: int = USER_TIMEOUT_MS) -> bool:
    """Let the kernel neither wait long for, nor keep much for, clients of ``listener`` that stop reading.

    Connections end whose bytes stay unacknowledged for ``timeout_ms``, and at most ``UNSENT_BYTES`` wait unsent in the
    kernel, so that a reader who stops is noticed by us and not by a buffer of megabytes.
    Accepted sockets inherit both on Linux (tcp(7): TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT).

    Returns:
        Whether the platform knows the options; if not, dead peers live until the kernel's own retries end (minutes).
    """
    options = (getattr(socket, "TCP_USER_TIMEOUT", None), getattr(socket, "TCP_NOTSENT_LOWAT", None))
    if None in options or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    for option, value in zip(options, (timeout_ms, UNSENT_BYTES), strict=True):
        assert option is not None  # noqa: S101 - looked at above
        listener.setsockopt(socket.IPPROTO_TCP, option, value)
    return True
