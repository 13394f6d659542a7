"""The gate in front of Socket.IO: who may open a socket, and what may come through it. It must not know any feature.

Checked here, because neither Engine.IO nor uvicorn does: origin, number of sockets, text frames only, size, rate.

Origin: a browser always sends one on a WebSocket handshake (RFC 6455 section 4.1, Fetch), so a foreign one is refused
with 403 before the upgrade. A request *without* one does not come from a browser; it cannot be a cross-site request
that borrows a cookie. ``origin_allowed(None)`` decides whether such a socket may open at all; the namespaces then
demand a valid session cookie of it as of anybody, and a socket that joins no namespace is closed after 5 seconds.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from tidewire.core.clock import Clock
from tidewire.core.errors import SettingsError
from tidewire.core.token_bucket import TokenBucket
from tidewire.web.socketio_packet import BadPacket, check_frame
from tidewire.web.websocket_protocol import ABORT_EXTENSION

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Where the record of a socket stands in its ASGI scope.
RECORD_KEY = "tidewire.socketio"
_POLICY_VIOLATION = 1008
_NORMAL_CLOSURE = 1000


@dataclass(frozen=True, slots=True)
class SocketLimits:
    """Bounds of one Socket.IO server. Seconds, bytes, messages per second.

    Attributes:
        join_timeout_s: A socket that has joined no namespace is closed after this.
        close_grace_s: Time a closed peer gets to read what is queued before its transport is aborted.
        flood: Messages over the rate (refilled at the rate) after which the socket is closed.
    """

    max_message_bytes: int = 64 * 1024
    join_timeout_s: float = 5.0
    close_grace_s: float = 1.0
    max_sessions: int = 512
    max_sessions_per_address: int = 64
    messages_per_second: float = 20.0
    message_burst: float = 40.0
    flood: float = 200.0


class Entry(enum.Enum):
    """What to do with one message of a client."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    LIMIT = "limit"
    CLOSE = "close"


class SocketRecord:
    """What the gate knows of one open socket.

    Attributes:
        eio_sid: Engine.IO's id once the handshake is done; "" before.
        close_code: Sent with the close frame.
    """

    def __init__(self, address: str, abort: Callable[[], None], limits: SocketLimits, now: float) -> None:
        self.address = address
        self.eio_sid = ""
        self.close_code = _NORMAL_CLOSURE
        self.close_reason = ""
        self._abort = abort
        self._limits = limits
        self._bucket = TokenBucket(rate=limits.messages_per_second, burst=limits.message_burst, now=now)
        self._patience = TokenBucket(rate=limits.messages_per_second, burst=limits.flood, now=now)
        self._abort_timer: asyncio.TimerHandle | None = None

    def judge(self, text: str | None, now: float) -> Entry:
        """Decide about one message. ``now`` is monotonic seconds."""
        try:
            check_frame(text)
        except BadPacket as exc:
            return self._violated(str(exc))
        # A character is at least a byte; exact only where it matters.
        if text and (len(text) > self._limits.max_message_bytes or len(text.encode()) > self._limits.max_message_bytes):
            return self._violated("message too large")
        if self._bucket.take(now):
            return Entry.PASS
        if self._patience.take(now):
            return Entry.LIMIT
        return self._violated("flood of messages")

    def retry_after_ms(self, now: float) -> int:
        """Return when the next message would pass, milliseconds."""
        return int(self._bucket.wait_s(now) * 1000) + 1

    def close_soon(self, reason: str = "", code: int = _NORMAL_CLOSURE) -> None:
        """Let the peer read what is queued for a moment, then abort the transport. Idempotent."""
        if self._abort_timer is None:
            if reason:
                self.close_reason, self.close_code = reason[:100], code
            self._abort_timer = asyncio.get_running_loop().call_later(self._limits.close_grace_s, self._abort)

    def abort(self) -> None:
        """End the TCP connection now."""
        self._abort()

    def _violated(self, reason: str) -> Entry:
        self.close_soon(reason, _POLICY_VIOLATION)
        return Entry.CLOSE


class SocketServer(Protocol):
    """What the gate needs of the server behind it."""

    @property
    def stopped(self) -> bool:
        """Whether the server has shut down and takes no more sockets."""
        ...

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> object:
        """Serve one WebSocket until it ends."""
        ...

    def refuse_over_rate(self, record: SocketRecord, text: str, now: float) -> None:
        """Answer one message that came too fast."""
        ...

    async def forget(self, record: SocketRecord) -> None:
        """Drop whatever is left of a socket that has ended."""
        ...


class SocketGuard:
    """The ASGI application: gate, then server.

    Args:
        server: The Socket.IO server.
        origin_allowed: Called with the Origin header, or None if there is none.
        limits: Bounds.
        clock: Time.
    """

    def __init__(
        self, server: SocketServer, origin_allowed: Callable[[str | None], bool], limits: SocketLimits, clock: Clock
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._server = server
        self._origin_allowed = origin_allowed
        self._limits = limits
        self._clock = clock
        self._open: Counter[str] = Counter()
        self._log = structlog.get_logger("tidewire.web.socketio")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "http":
            self.counts["refused_http"] += 1
            await _respond(send, "http.response", _POLLING)

    @property
    def open_sessions(self) -> int:
        """How many sockets are open."""
        return self._open.total()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = (scope.get("client") or ("unknown", 0))[0]
        refusal = self._refusal(scope, address)
        if refusal is not None:
            await receive()
            self._log.info("socketio_refused", code=refusal.code, address=address)
            self.counts[f"refused_{refusal.code}"] += 1
            await _refuse(scope, send, refusal)
            return
        record = SocketRecord(address, _abort_of(scope), self._limits, self._clock.monotonic())
        self._open[address] += 1
        try:
            await self._server.handle_request(
                {**scope, RECORD_KEY: record}, self._guarded(record, receive), _closing(record, send)
            )
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
            # The web server may still wait for a peer that never answers its close frame.
            record.close_soon()
            await self._server.forget(record)

    def _refusal(self, scope: Scope, address: str) -> Refusal | None:
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"origin"]
        if len(origins) > 1 or not self._origin_allowed(origins[0] if origins else None):
            return _FOREIGN_ORIGIN
        if self._server.stopped:
            return _STOPPED
        if self._open.total() >= self._limits.max_sessions:
            return _FULL
        if self._open[address] >= self._limits.max_sessions_per_address:
            return _TOO_MANY
        return None

    def _guarded(self, record: SocketRecord, receive: Receive) -> Receive:
        async def guarded() -> Message:
            while True:
                event = await receive()
                if event["type"] != "websocket.receive":
                    return event
                now = self._clock.monotonic()
                text = event.get("text")
                entry = record.judge(text, now)
                if entry is Entry.PASS:
                    return event
                if entry is Entry.CLOSE:
                    self.counts["violations"] += 1
                    self._log.warning("socketio_violation", reason=record.close_reason, address=record.address)
                    return {"type": "websocket.disconnect", "code": record.close_code}
                self.counts["rate_limited"] += 1
                self._server.refuse_over_rate(record, text or "", now)

        return guarded


class Refusal(msgspec.Struct, frozen=True):
    """An RFC 9457 problem document for a handshake that is refused."""

    status: int
    code: str
    title: str
    detail: str
    required_action: str
    will_not: str


_POLLING = Refusal(
    400,
    "websocket_only",
    "WebSocket only",
    "This channel speaks Engine.IO 4 over WebSocket; long polling is off.",
    'Connect with transports: ["websocket"].',
    "Tidewire will not fall back to long polling.",
)
_FOREIGN_ORIGIN = Refusal(
    403,
    "origin_refused",
    "Origin refused",
    "This origin is not allowed to open sockets here.",
    "Open the page from an allowed origin, or add this one to TIDEWIRE_ALLOWED_ORIGINS.",
    "Tidewire will not open the socket.",
)
_STOPPED = Refusal(
    503,
    "shutting_down",
    "Shutting down",
    "This server is stopping and takes no more sockets.",
    "Connect again in a moment; the page does so by itself.",
    "Tidewire will not open the socket.",
)
_FULL = Refusal(
    503,
    "sessions_exhausted",
    "Too many sessions",
    "Every session of this channel is taken.",
    "Close pages that are not needed, or try again later.",
    "Tidewire will not close somebody else's session for this one.",
)
_TOO_MANY = Refusal(
    429,
    "sessions_per_address_exhausted",
    "Too many sessions from one address",
    "This address holds as many sessions as one address may.",
    "Close pages that are not needed.",
    "Tidewire will not open more for this address.",
)


def _abort_of(scope: Scope) -> Callable[[], None]:
    extension = (scope.get("extensions") or {}).get(ABORT_EXTENSION)
    if extension is None:
        raise SettingsError(
            "The web server cannot abort a WebSocket, so a peer that stops reading could never be freed.",
            required_action="Start uvicorn with Config(..., **websocket_options()), see web/websocket_protocol.py.",
            will_not="Tidewire will not serve Socket.IO without it.",
        )
    abort: Callable[[], None] = extension["abort"]
    return abort


def _closing(record: SocketRecord, send: Send) -> Send:
    async def closing(message: Message) -> None:
        if message["type"] == "websocket.close" and record.close_code != _NORMAL_CLOSURE:
            message = {**message, "code": record.close_code, "reason": record.close_reason}
        await send(message)

    return closing


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await _respond(send, "websocket.http.response", refusal)
    else:
        # The ASGI specification turns this into an HTTP 403 before the upgrade.
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refusal.code})


async def _respond(send: Send, prefix: str, refusal: Refusal) -> None:
    body = msgspec.json.encode({"type": "about:blank", **msgspec.to_builtins(refusal)})
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    await send({"type": f"{prefix}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": body})
