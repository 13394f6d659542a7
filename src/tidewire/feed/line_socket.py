"""One WebSocket to the venue, on picows: dial, send, ping, and one sentence on how it ended.

Only this module of the feed speaks picows. It must not know the Massive protocol, states, retries or time.
Invalid UTF-8 in a message does not end the connection, unlike RFC 6455 section 8.1 demands: the codec drops and counts
that one event, where a reconnect would lose all that come meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

from picows import (
    WSCloseCode,
    WSFrame,
    WSHandshakeError,
    WSInvalidURL,
    WSListener,
    WSMsgType,
    WSParsedURL,
    WSTransport,
    ws_connect,
)

from tidewire.core.errors import UpstreamError

# The codec reads 4 MiB; what is larger than this is not even buffered and ends the connection.
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
# A peer that pings and never reads must not fill our memory (reliability.md 1, finding 2).
MAX_UNREAD_BYTES: Final = 1024 * 1024
_WILL_NOT: Final = "Prices are not invented for the gap, and nothing is replayed by the venue."
# Stands for a close frame without a code (RFC 6455 section 7.1.5).
_NO_CODE: Final = 1005

# Its debug lines would show raw bytes, hence the key: nothing below warnings leaves picows.
_LOGGER: Final = logging.getLogger("tidewire.feed.picows")
_LOGGER.setLevel(logging.WARNING)

_HTTP_ACTION: Final = {
    401: "Check MASSIVE_API_KEY and TIDEWIRE_FEED_URL: the server refused before the WebSocket began.",
    403: "Check that the plan includes this feed and that this machine's address is allowed.",
    404: "Check the path of TIDEWIRE_FEED_URL, for example wss://socket.massive.com/stocks.",
    429: "Too many attempts: wait, and see whether another program uses the same key.",
    503: "The venue is not available; wait, and look at its status page.",
}
_CLOSE_TEXT: Final = {
    1000: "normally, without being asked to",
    1001: "because it is going away (restart or idle)",
    1008: "for a policy violation, usually the limit of simultaneous connections",
    1009: "because a message was too big",
    1011: "because of an internal error of its own",
    1012: "because it restarts",
    1013: "and asks to try again later",
}


class _Voice(logging.LoggerAdapter[logging.Logger]):
    """The logger that picows is given: its errors are also told to the socket, before picows acts on them."""

    def __init__(self, logger: logging.Logger, told: Callable[[], None]) -> None:
        super().__init__(logger)
        self._told = told

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self._told()
        super().error(msg, *args, **kwargs)


class LineSocket(WSListener):
    """One connection, used once.

    Args:
        receive: Called with each complete message, on the event loop.

    Attributes:
        ended: Result is why the connection ended; set exactly once, by the first cause.
        heard: How many frames of any kind have arrived; a sign of life.
    """

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self.ended: asyncio.Future[UpstreamError] = asyncio.get_running_loop().create_future()
        self.heard = 0
        self._receive = receive
        self._transport: WSTransport | None = None
        self._socket: socket.socket | None = None
        self._farewell: asyncio.Future[None] | None = None
        self._fragments: list[bytes] = []
        self._fragment_bytes = 0
        # What comes after a close frame of either side does not count (RFC 6455 section 1.4).
        self._over = False

    async def open(self, url: str, timeout_s: float) -> None:
        """Connect and upgrade.

        Raises:
            UpstreamError: With code refused, dns, tls, http_401, ... and stage connect.
        """
        try:
            transport, _ = await ws_connect(
                lambda: self,
                url,
                socket_factory=self._dial,
                websocket_handshake_timeout=timeout_s,
                enable_auto_pong=False,
                max_frame_size=MAX_MESSAGE_BYTES,
                max_redirects=0,
                use_aiofastnet=False,
                logger_name=_Voice(_LOGGER, self.broken),
                read_buffer_init_size=256 * 1024,
            )
        except BaseException as error:
            self._hang_up()
            if isinstance(error, OSError | WSHandshakeError | WSInvalidURL | ssl.SSLError):
                raise explain_failure(error) from error
            raise
        self._transport = transport
        if transport.is_disconnected and not self.ended.done():
            raise upstream_error(
                "tcp_reset", "The venue dropped the TCP connection during the WebSocket handshake.", "connect"
            )

    def send(self, message: bytes) -> None:
        """Send one text message; lost if the connection has ended."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, message)

    def ping(self) -> None:
        """Ask for a sign of life."""
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send_ping()

    def end(self, error: UpstreamError) -> None:
        """Note the cause, unless one is known already."""
        if not self.ended.done():
            self.ended.set_result(error)

    def close(self, *, graceful: bool = True) -> None:
        """Close at once; ``graceful`` says goodbye first. Does not wait for the peer. Idempotent."""
        self.end(upstream_error("stopped", "Tidewire closed the connection.", "stream"))
        if self._transport is None:
            self._hang_up()
        elif not self._transport.is_disconnected:
            if graceful:
                self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(graceful)

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport (picows)."""
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame (picows)."""
        if self._over:
            return
        self.heard += 1
        kind = frame.msg_type
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._breach(transport, "a reserved bit is set")
        elif kind == WSMsgType.TEXT and frame.fin and not self._fragments:
            self._receive(frame.get_payload_as_bytes())
        elif kind == WSMsgType.PING:
            self._answer_ping(transport, frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2], "big") if payload else _NO_CODE
            self._take_close(transport, code, frame.get_close_reason() or "")
        elif kind != WSMsgType.PONG:
            self._join(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Name the cause if none is known (picows)."""
        self._end_by_own_close(transport)
        self.end(upstream_error("tcp_reset", "The venue dropped the TCP connection without a close frame.", "stream"))
        # picows also keeps what broke the protocol as the exception of a future; fetched here, nobody reports it lost.
        self._farewell = asyncio.ensure_future(transport.wait_disconnected())
        self._farewell.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _end_by_own_close(self, transport: WSTransport) -> None:
        """Name a broken protocol as the cause: picows has sent the first close frame, whether or not it is answered."""
        handshake = transport.close_handshake
        if handshake is None or handshake.sent is None or handshake.recv_then_sent:
            return
        code = _number(handshake.sent.code)
        cause = "frame_too_big" if code == WSCloseCode.MESSAGE_TOO_BIG.value else f"protocol_{code}"
        text = handshake.sent.reason or "the venue broke the WebSocket protocol"
        self.end(upstream_error(cause, f"Tidewire ended the connection: {text}.", "stream"))

    def _answer_ping(self, transport: WSTransport, payload: bytes) -> None:
        if transport.underlying_transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self.end(upstream_error("ping_flood", "The venue pings without reading our answers.", "stream"))
            transport.disconnect(False)
        else:
            transport.send_pong(payload)

    def _take_close(self, transport: WSTransport, code: int, reason: str) -> None:
        """Answer the venue's close frame. ``code`` 1005: it had none."""
        self._over = True
        self._end_by_own_close(transport)
        self.end(explain_close(code, reason))
        transport.send_close(WSCloseCode.OK if _is_sendable(code) else WSCloseCode.PROTOCOL_ERROR)
        transport.disconnect()

    def broken(self) -> None:
        """Picows is about to fail the connection; a close frame that came before in the same read is answered first."""
        transport = self._transport
        handshake = transport.close_handshake if transport is not None else None
        if transport is not None and handshake is not None and handshake.recv is not None and not self._over:
            self._take_close(transport, _number(handshake.recv.code) or _NO_CODE, handshake.recv.reason or "")

    def _breach(self, transport: WSTransport, text: str) -> None:
        """End the connection because of what the venue sent (RFC 6455 section 7.1.7)."""
        self._over = True
        self.end(upstream_error("protocol_1002", f"Tidewire ended the connection: {text}.", "stream"))
        transport.send_close(WSCloseCode.PROTOCOL_ERROR)
        transport.disconnect()

    def _join(self, transport: WSTransport, frame: WSFrame) -> None:
        """Reassemble a fragmented message, or take a binary one as text (RFC 6455 section 5.4)."""
        if (frame.msg_type == WSMsgType.CONTINUATION) != bool(self._fragments):
            wrong = "a message began inside another" if self._fragments else "a message went on that had not begun"
            self._breach(transport, wrong)
            return
        payload = frame.get_payload_as_bytes()
        self._fragment_bytes += len(payload)
        if self._fragment_bytes > MAX_MESSAGE_BYTES:
            self.end(upstream_error("frame_too_big", f"A message exceeds {MAX_MESSAGE_BYTES} bytes.", "stream"))
            self.close()
            return
        self._fragments.append(payload)
        if frame.fin:
            message = b"".join(self._fragments)
            self._fragments.clear()
            self._fragment_bytes = 0
            self._receive(message)

    async def _dial(self, target: WSParsedURL) -> socket.socket:
        """Open TCP ourselves, so that each failure keeps its own errno and a cancelled dial can be hung up."""
        loop = asyncio.get_running_loop()
        addresses = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        failure: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            candidate = socket.socket(family, kind, protocol)
            candidate.setblocking(False)
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await loop.sock_connect(candidate, address)
            except OSError as error:
                candidate.close()
                failure = error
            except BaseException:
                candidate.close()
                raise
            else:
                self._socket = candidate
                return candidate
        raise failure or socket.gaierror(socket.EAI_NONAME, "no address")

    def _hang_up(self) -> None:
        """End a connection whose upgrade never finished: the transport sees the end of the stream and closes."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _number(code: Any) -> int:
    """Return a close code as a number: picows gives an enum member where it knows one, else a plain int."""
    return int(getattr(code, "value", code))


def _is_sendable(code: int) -> bool:
    """Whether a close frame may carry the code, or has none (RFC 6455 section 7.4); picows refuses a written 1005."""
    standard = 1000 <= code <= 1014 and code not in (1004, 1006)
    return standard or 3000 <= code <= 4999


def explain_failure(error: Exception) -> UpstreamError:
    """Translate what dialling raised."""
    if isinstance(error, WSHandshakeError):
        status = int(error.response.status) if error.response is not None else 0
        if status:
            return upstream_error(
                f"http_{status}",
                f"The venue answered the WebSocket handshake with HTTP {status}.",
                "connect",
                _HTTP_ACTION.get(status, "Check TIDEWIRE_FEED_URL."),
            )
        return upstream_error("handshake_invalid", f"The venue's handshake is not valid: {error}.", "connect")
    if isinstance(error, WSInvalidURL):
        return upstream_error("url_invalid", "The feed's URL is not valid.", "connect", "Correct TIDEWIRE_FEED_URL.")
    if isinstance(error, ssl.SSLError):
        detail = getattr(error, "verify_message", "") or error.reason or str(error)
        action = "Check the clock, the certificate authorities of this machine and TIDEWIRE_FEED_URL."
        return upstream_error("tls", f"No secure connection: {detail}.", "connect", action)
    if isinstance(error, socket.gaierror):
        action = "Check TIDEWIRE_FEED_URL and this machine's name resolution."
        return upstream_error("dns", f"The feed's host name does not resolve ({error.strerror}).", "connect", action)
    if isinstance(error, ConnectionRefusedError):
        return upstream_error("refused", "Nobody listens at the feed's address.", "connect", "Check TIDEWIRE_FEED_URL.")
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return upstream_error("tcp_reset", "The venue reset the TCP connection during the handshake.", "connect")
    if isinstance(error, TimeoutError):
        return upstream_error(
            "connect_timeout", "The venue did not complete the WebSocket handshake in time.", "connect"
        )
    return upstream_error("network", f"The network failed: {error}.", "connect", "Check this machine's network.")


def explain_close(code: int, reason: str) -> UpstreamError:
    """Translate a close frame."""
    if code == _NO_CODE:
        return upstream_error("close_1005", "The venue closed the connection without giving a code.", "stream")
    said = f" It said: {reason[:200]}." if reason else ""
    text = _CLOSE_TEXT.get(code, "with an unusual code")
    return upstream_error(f"close_{code}", f"The venue closed the connection {text} (code {code}).{said}", "stream")


def upstream_error(cause: str, message: str, stage: str, required_action: str = "") -> UpstreamError:
    """Return an UpstreamError with code ``cause``, a default action and the line's promise."""
    action = required_action or "None if it comes back by itself; else look at the venue's status page."
    return UpstreamError(message, stage=stage, required_action=action, will_not=_WILL_NOT, code=cause)
