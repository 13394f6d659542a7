"""RFC 6455 conduct of one server-side socket on picows: fragments, control frames, UTF-8, limits, closing.

picows parses frames and answers malformed ones; messages, order of fragments and close codes are this file's. What
messages mean is a subclass's. Hostile input ends in a close code or a cut, in bounded time and memory.
Source: RFC 6455 sections 5.4, 5.5, 7.4, 8.1; reliability.md 1 (findings 1, 2) and 3.2.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from functools import partial

import structlog
from multidict import CIMultiDict
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from tidewire.core.token_bucket import TokenBucket

_log = structlog.get_logger(__name__)

MAX_MESSAGE_BYTES = 65_536
MAX_FRAGMENTS = 64
# Above this the reader is slow (the hub begins to hold back); below the lower mark it has caught up.
SOFT_MARK_BYTES = 65_536
LOW_MARK_BYTES = 16_384
# A message that began must end; a peer that gets a close frame must answer or be cut.
FRAGMENT_DEADLINE_S = 10.0
CLOSE_DEADLINE_S = 2.0
# Long enough for a close frame to arrive before the TCP connection is cut under it.
FAIL_DEADLINE_S = 0.25
# What is under way when a close frame is sent is read and ignored; more of it is a flood.
MAX_IGNORED = 64
# reliability.md 3.1 item 8 proposes 10 control frames a second; a library may send a few at once.
CONTROL_RATE = 10.0
CONTROL_BURST = 100.0

_STANDARD_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_NO_HEADERS: CIMultiDict[str] = CIMultiDict()
_new_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Conduct(WSListener):
    """One socket. Subclasses say what a message is, by ``on_message``, ``on_opened``, ``on_gone``, ``on_control``.

    Attributes:
        send: Sends ``buffer[start:]`` as one text frame; ``start`` >= 14. Not before the first ``write``.
        stream: The asyncio transport below; set before the handshake is done.
        answer: The handshake's answer, until it has been sent: alone, or together with what is written first.
        peer_code: Code of the peer's close frame; None until it came.
        accept_binary: Whether binary messages are taken; otherwise they end the connection with 1003.
    """

    __slots__ = (
        "_control",
        "_deadline",
        "_decoder",
        "_fragment_bytes",
        "_fragments",
        "_ignored",
        "_loop",
        "_text",
        "_transport",
        "accept_binary",
        "answer",
        "close_sent",
        "congested",
        "gone",
        "peer_code",
        "reading_held",
        "send",
        "stream",
    )

    _transport: WSTransport
    send: Callable[[bytearray, int], None]
    stream: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._fragments: list[bytes] | None = None
        self._fragment_bytes = 0
        self._decoder: codecs.IncrementalDecoder | None = None
        self._text = False
        self._deadline: asyncio.TimerHandle | None = None
        self._control: TokenBucket | None = None
        self._ignored = 0
        self.accept_binary = False
        self.answer = b""
        self.close_sent = False
        self.congested = False
        self.gone = False
        self.reading_held = False
        self.peer_code: int | None = None

    # ---- for subclasses

    def on_opened(self) -> None:
        """The handshake is done."""

    def on_message(self, payload: bytes, text: bool) -> None:
        """A whole message came; text is valid UTF-8."""

    def on_control(self, payload: bytes) -> None:
        """A ping or pong came."""

    def on_breach(self) -> None:
        """The peer broke the protocol in a way that picows noticed; it is being closed."""

    def on_gone(self) -> None:
        """The connection is over."""

    # ---- the Socket that the hub writes to (``send`` is an attribute)

    def write(self, frames: bytes) -> None:
        """Write whole frames."""
        if not self.close_sent and not self.gone and not self._transport.is_disconnected:
            answer, self.answer = self.answer, b""
            self.stream.write(answer + frames)

    def ping(self, payload: bytes) -> None:
        """Send a ping frame."""
        if not self.gone:
            self._transport.send_ping(payload)

    def unwritten_bytes(self) -> int:
        """What the kernel has not taken."""
        return 0 if self.gone else self.stream.get_write_buffer_size()

    def hold_reading(self, hold: bool) -> None:
        """Stop or go on reading."""
        self.reading_held = hold
        if self.gone:
            return
        transport = self.stream
        if transport.is_closing():
            return
        if hold:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame once, and cut the connection if no answer comes."""
        if self.close_sent or self.gone:
            return
        self._send_answer()
        self.close_sent = True
        self._transport.send_close(code, reason.encode()[:123])  # type: ignore[arg-type]
        self.hold_reading(False)
        self._arm(CLOSE_DEADLINE_S)

    def abort(self) -> None:
        """Cut the connection."""
        if not self.gone:
            self._transport.disconnect(False)

    # ---- picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade has been answered."""
        self._transport = transport
        self.send = partial(transport.send_reuse_external_bytearray, WSMsgType.TEXT)
        # picows keeps the handshake for as long as the socket lives; its headers are 1 KB that nobody reads again.
        transport.request.headers = _NO_HEADERS
        transport.response.headers = _NO_HEADERS
        self.stream.set_write_buffer_limits(high=SOFT_MARK_BYTES, low=LOW_MARK_BYTES)
        try:
            self.on_opened()
        except Exception:  # noqa: BLE001 - a root: picows would take it for the peer's fault
            self.exception("on_opened")
            self._send_answer()
            transport.send_close(1011, b"internal error")  # type: ignore[arg-type]
        if self.reading_held:
            # Who it is, is being found out; if that takes no time, the answer and the welcome are one write.
            self._loop.call_soon(self._send_answer)
        else:
            self._send_answer()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        if self.peer_code is not None:
            return
        if transport.is_close_frame_sent and frame.msg_type != WSMsgType.CLOSE:
            self._ignored += 1
            if self._ignored == MAX_IGNORED:
                self._stop_reading()
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(1002, "reserved bit set")
            return
        kind = frame.msg_type
        if kind == WSMsgType.TEXT or kind == WSMsgType.BINARY or kind == WSMsgType.CONTINUATION:
            self._take_data(kind, frame)
        elif kind == WSMsgType.CLOSE:
            self._take_close(frame.get_payload_as_bytes())
        else:
            self._take_control(kind, frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is over."""
        self.gone = True
        self._disarm()
        self._fragments = None
        self.on_gone()
        # picows' half and ours hold each other. The collector hardly ever looks at what has lived for long
        # (footprint.py), so what was a socket for hours would stay for ever.
        del self._transport, self.stream, self.send

    def pause_writing(self) -> None:
        """The buffer is over the soft mark."""
        self.congested = True

    def resume_writing(self) -> None:
        """The buffer is under the low mark."""
        self.congested = False

    # ---- picows logs here, so that its words about a socket reach that socket

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name picows calls
        """Nothing that has to be formatted is wanted."""
        return False

    def log(self, level: int, message: str, *values: object) -> None:
        """Ignore."""

    def debug(self, message: str, *values: object) -> None:
        """Ignore."""

    def info(self, message: str, *values: object) -> None:
        """Ignore."""

    def warning(self, message: str, *values: object) -> None:
        """Ignore."""

    def error(self, message: str, *values: object) -> None:
        """Picows is about to close the socket because of the peer's bytes: make sure that it does end.

        If the peer's close frame came in the same read, before the broken bytes, it is answered first and the rest does
        not count (RFC 6455 section 1.4: data after a close frame is discarded).
        """
        self.on_breach()
        handshake = self._transport.close_handshake
        if handshake is not None and handshake.recv is not None and not self.close_sent:
            self._answer_close(int(handshake.recv.code), empty=int(handshake.recv.code) == 0)  # type: ignore[call-overload]
        self.close_sent = True
        self._stop_reading()

    def exception(self, message: str, *values: object) -> None:
        """A callback of ours raised: that is our fault, and the socket is being closed with 1011."""
        _log.exception("socket_callback_failed", where=message, will_not="Tidewire will not keep this connection.")
        self._arm(FAIL_DEADLINE_S)
        self.close_sent = True

    # ---- inside

    def _send_answer(self) -> None:
        answer, self.answer = self.answer, b""
        if answer and not self.gone and not self.stream.is_closing():
            self.stream.write(answer)

    def _take_data(self, kind: object, frame: WSFrame) -> None:
        if kind == WSMsgType.CONTINUATION:
            if self._fragments is None:
                self._fail(1002, "nothing to continue")
                return
            self._add_fragment(frame.get_payload_as_bytes(), frame.fin)
            return
        if self._fragments is not None:
            self._fail(1002, "the message before is unfinished")
            return
        self._text = kind == WSMsgType.TEXT
        if not self._text and not self.accept_binary:
            self._fail(1003, "text only")
            return
        payload = frame.get_payload_as_bytes()
        if not frame.fin:
            self._fragments = []
            self._fragment_bytes = 0
            self._decoder = _new_utf8_decoder() if self._text else None
            self._arm(FRAGMENT_DEADLINE_S)
            self._add_fragment(payload, False)
            return
        if self._text and not payload.isascii() and not _is_utf8(payload):
            self._fail(1007, "invalid UTF-8")
            return
        self.on_message(payload, self._text)

    def _add_fragment(self, payload: bytes, final: bool) -> None:
        assert self._fragments is not None  # noqa: S101 - for the type checker; both callers have checked
        self._fragments.append(payload)
        self._fragment_bytes += len(payload)
        if self._fragment_bytes > MAX_MESSAGE_BYTES or len(self._fragments) > MAX_FRAGMENTS:
            self._fragments = None
            self._fail(1009, "message too big")
            return
        if self._decoder is not None:
            try:
                self._decoder.decode(payload, final)
            except UnicodeDecodeError:
                self._fragments = None
                self._fail(1007, "invalid UTF-8")
                return
        if final:
            self._disarm()
            whole, self._fragments, self._decoder = b"".join(self._fragments), None, None
            self.on_message(whole, self._text)

    def _take_control(self, kind: object, payload: bytes) -> None:
        now = self._loop.time()
        if self._control is None:
            self._control = TokenBucket(rate=CONTROL_RATE, burst=CONTROL_BURST, now=now)
        if not self._control.take(now):
            self._fail(1008, "too many control frames")
            return
        # Whoever does not read gets no pongs either: they would only grow the buffer (reliability.md finding 2).
        if kind == WSMsgType.PING and not self.congested:
            self._transport.send_pong(payload)
        self.on_control(payload if kind == WSMsgType.PONG else b"")

    def _take_close(self, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
        self.peer_code = code
        if not self.close_sent:
            self._answer_close(code, empty=not payload)
        self._transport.disconnect()
        self._arm(CLOSE_DEADLINE_S)

    def _fail(self, code: int, reason: str) -> None:
        """Close because the peer broke the protocol; nobody waits long for its answer (RFC 6455 section 7.1.7)."""
        self.close(code, reason)
        self._stop_reading()

    def _stop_reading(self) -> None:
        """Wait only for the close frame to arrive: parsing what a flood still sends would cost others their turn."""
        if not self.gone:
            self.hold_reading(True)
        self._arm(FAIL_DEADLINE_S)

    def _answer_close(self, code: int, *, empty: bool) -> None:
        self.close_sent = True
        if empty:
            # picows cannot send a close frame without a code, and the answer repeats what came.
            self.stream.write(b"\x88\x00")
        elif _is_close_code(code):
            self._transport.send_close(code)  # type: ignore[arg-type]
        else:
            self._transport.send_close(1002, b"invalid close code")  # type: ignore[arg-type]

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        self._deadline = self._loop.call_later(delay_s, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self.close_sent or self.peer_code is not None:
            self.abort()
        else:
            self._fail(1008, "unfinished message")


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_close_code(code: int) -> bool:
    return code in _STANDARD_CODES or 3000 <= code <= 4999
