"""uvicorn's HTTP protocol with bounds on the time and bytes before a request is known, and on open connections.

Stock uvicorn keeps half a request, or a TCP connection that says nothing, for ever, and its httptools protocol puts no
bound on the head of a request. uvicorn's own parts are made only when a connection turns out to need them: a hub's
client does not. It must not know what requests ask for.
Source: reliability.md 1 (findings 3, 10) and bars R6, R7; uvicorn ``HttpToolsProtocol``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_log = structlog.get_logger(__name__)

HEAD_DEADLINE_S = 10.0
# A body that is still coming after this is not a form or an edit; nothing here takes large uploads.
BODY_DEADLINE_S = 60.0
MAX_HEAD_BYTES = 65_536
# One sentence in this time, with a count, however many connections are refused.
LOG_EVERY_S = 10.0


def _answer(status: str, detail: str, *headers: str) -> bytes:
    body = f'{{"type":"about:blank","title":"{status[4:]}","status":{status[:3]},"detail":"{detail}"}}'
    head = (f"HTTP/1.1 {status}", "content-type: application/problem+json", f"content-length: {len(body)}", *headers)
    return "\r\n".join((*head, "connection: close", "", body)).encode()


_FULL = _answer("503 Service Unavailable", "Too many connections are open; try again later.", "retry-after: 5")
_HEAD_TOO_LARGE = _answer("431 Request Header Fields Too Large", "The request's head is larger than 64 KiB.")


class Doorkeeper:
    """Counts what is refused and cut, for all connections of one port.

    Args:
        max_connections: Connections that may be open at once, upgraded ones included.
        open_elsewhere: How many sockets have left HTTP (the hub's), so that the cap covers all.
        head_deadline_s, body_deadline_s: Seconds for a request's head, and for its body.

    Attributes:
        shortcut: Is shown the first bytes of every connection, and returns whether it has taken the transport over.
    """

    def __init__(
        self,
        max_connections: int,
        open_elsewhere: Callable[[], int] = lambda: 0,
        *,
        head_deadline_s: float = HEAD_DEADLINE_S,
        body_deadline_s: float = BODY_DEADLINE_S,
    ) -> None:
        self.max_connections = max_connections
        self.open_elsewhere = open_elsewhere
        self.head_deadline_s = head_deadline_s
        self.body_deadline_s = body_deadline_s
        self.shortcut: Callable[[asyncio.Transport, bytes], bool] | None = None
        self.late = 0
        self.refused = 0
        self.oversized = 0
        self._said_at = float("-inf")

    def protocol_class(self) -> type[asyncio.Protocol]:
        """Return what uvicorn's ``http=`` takes."""
        return cast("type[asyncio.Protocol]", type("BoundedHttpProtocol", (_BoundedHttp,), {"doorkeeper": self}))

    def refuse(self, now: float) -> None:
        """Count a refusal, and say so once in a while."""
        self.refused += 1
        if now - self._said_at >= LOG_EVERY_S:
            self._said_at = now
            _log.error(
                "CONNECTION_LIMIT_REACHED",
                refused=self.refused,
                max_connections=self.max_connections,
                required_action="Raise the limit of open files, or add a node.",
                will_not="Tidewire will not accept another connection until one closes.",
            )


class _BoundedHttp(HttpToolsProtocol):
    doorkeeper: Doorkeeper

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        self._made_of = (config, server_state, app_state, _loop)
        self._awake = False
        self.loop = _loop or asyncio.get_running_loop()
        self.connections = server_state.connections
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.connections.add(self)
        keeper = self.doorkeeper
        if len(self.connections) + keeper.open_elsewhere() > keeper.max_connections:
            keeper.refuse(self.loop.time())
            transport.write(_FULL)
            transport.close()
            return
        self._arm(keeper.head_deadline_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._awake:
            super().connection_lost(exc)
        else:
            self.connections.discard(self)

    def shutdown(self) -> None:
        if self._awake:
            super().shutdown()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        if self._awake:
            super().pause_writing()

    def resume_writing(self) -> None:
        if self._awake:
            super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if not self._awake:
            shortcut = self.doorkeeper.shortcut
            if shortcut is not None and shortcut(self.transport, data):
                self._disarm()
                self.connections.discard(self)
                return
            self._wake()
        if self._in_head:
            # Checked before parsing, because the parser keeps every header; one read more (64 KiB at most) may pass.
            if self._head_bytes > MAX_HEAD_BYTES:
                self.doorkeeper.oversized += 1
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()
                return
            self._head_bytes += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        if self._deadline is None:
            self._arm(self.doorkeeper.head_deadline_s)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._disarm()
        if not self.parser.should_upgrade():
            self._arm(self.doorkeeper.body_deadline_s)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        super().handle_websocket_upgrade()

    def _wake(self) -> None:
        """Become uvicorn's protocol; what it sets up per connection is half the cost of a WebSocket handshake."""
        self._awake = True
        transport = self.transport
        super().__init__(*self._made_of)
        super().connection_made(transport)

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(delay_s, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        self.doorkeeper.late += 1
        self.transport.abort()
