"""uvicorn's HTTP protocol with bounds on the time and bytes before a request is known, and on open connections.

Stock uvicorn keeps half a request, or a TCP connection that says nothing, for ever, and its httptools protocol puts no
bound on the head of a request. uvicorn's own parts are made only when a connection turns out to need them: a hub's
client does not. It must not know what requests ask for.
Source: reliability.md 1 (findings 3, 10) and bars R6, R7; uvicorn ``HttpToolsProtocol``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tidewire.web.tally import Tally

HEAD_DEADLINE_S = 10.0
# A body that is still coming after this is not a form or an edit; nothing here takes large uploads.
BODY_DEADLINE_S = 60.0
MAX_HEAD_BYTES = 65_536
# A refused client gets this long to read why: a socket closed with unread bytes in it is reset, which can swallow the
# answer (RFC 9112 section 9.6). Each holds one of the spare files meanwhile, hence the bound.
LINGER_S = 1.0
MAX_LINGERING = 100
# Newcomers that are handled before the event loop looks after everybody else again: of five thousand at once each would
# otherwise delay all who are connected. A handshake takes about a third of a millisecond.
NEW_PER_TURN = 32


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
        unheard: Connections that have been accepted, and have not said yet (or not been heard) what they want.
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
        self.oversized = 0
        self.lingering = 0
        self.unheard = 0
        self._left = NEW_PER_TURN
        self._turning = False
        self._queue: deque[_BoundedHttp] = deque()
        self.lateness = Tally(
            "HANDSHAKES_TOO_SLOW",
            required_action="None for a few; for many, block their addresses at the proxy or firewall.",
            will_not="Tidewire will not wait longer for a request that does not come.",
        )
        self.refusals = Tally(
            "CONNECTION_LIMIT_REACHED",
            required_action="Raise the limit of open files, or add a node.",
            will_not="Tidewire will not accept another connection until one closes.",
        )

    def protocol_class(self) -> type[asyncio.Protocol]:
        """Return what uvicorn's ``http=`` takes."""
        return cast("type[asyncio.Protocol]", type("BoundedHttpProtocol", (_BoundedHttp,), {"doorkeeper": self}))

    def admit(self, newcomer: _BoundedHttp) -> bool:
        """Whether a newcomer's first bytes are handled now; otherwise its ``handle`` is called in a later turn."""
        if not self._turning:
            self._turning = True
            newcomer.loop.call_soon(self._turn, newcomer.loop)
        if self._left:
            self._left -= 1
            return True
        self._queue.append(newcomer)
        return False

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """A new turn of the event loop: as many again."""
        begun = self._left < NEW_PER_TURN or bool(self._queue)
        self._left = NEW_PER_TURN
        while self._queue and self._left:
            self._left -= 1
            self._queue.popleft().handle()
        self._turning = begun
        if begun:
            loop.call_soon(self._turn, loop)

    @property
    def late(self) -> int:
        """How many connections were cut because a request did not come in time."""
        return self.lateness.total

    @property
    def refused(self) -> int:
        """How many connections were refused at the limit."""
        return self.refusals.total


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
        self._refused = False
        self._first = b""
        self._unheard = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.connections.add(self)
        keeper = self.doorkeeper
        if len(self.connections) + keeper.open_elsewhere() > keeper.max_connections:
            self._refuse(keeper, transport)
            return
        self._unheard = True
        keeper.unheard += 1
        self._arm(keeper.head_deadline_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._heard()
        if self._refused:
            self._refused = False
            self.doorkeeper.lingering -= 1
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
        if self.transport.is_closing() or self._refused:
            return
        if self._awake:
            self._parse(data)
        elif self._first:
            self._keep(data)
        elif self.doorkeeper.admit(self):
            self._begin(data)
        else:
            self._first = data

    def handle(self) -> None:
        """It is this newcomer's turn."""
        data, self._first = self._first, b""
        if not self.transport.is_closing() and not self._refused:
            self._begin(data)

    def _keep(self, data: bytes) -> None:
        # Pausing the transport instead would cost each newcomer of a storm two system calls.
        self._first += data
        if len(self._first) > MAX_HEAD_BYTES:
            self._refuse_head()

    def _heard(self) -> None:
        if self._unheard:
            self._unheard = False
            self.doorkeeper.unheard -= 1

    def _begin(self, data: bytes) -> None:
        self._heard()
        shortcut = self.doorkeeper.shortcut
        if shortcut is not None and shortcut(self.transport, data):
            self._disarm()
            self.connections.discard(self)
            return
        self._wake()
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self._in_head:
            # Checked before parsing, because the parser keeps every header; one read more (64 KiB at most) may pass.
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()
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
        if self.cycle is not None and not self.cycle.response_complete:
            # An upgrade pipelined behind a request whose answer is still to be written: that answer would be written
            # into the WebSocket (RFC 9112 section 9.3.2: answers come in the order of the requests).
            self.transport.abort()
            return
        super().handle_websocket_upgrade()

    def _wake(self) -> None:
        """Become uvicorn's protocol; what it sets up per connection is half the cost of a WebSocket handshake."""
        self._awake = True
        transport = self.transport
        super().__init__(*self._made_of)
        super().connection_made(transport)

    def _refuse_head(self) -> None:
        self.doorkeeper.oversized += 1
        self.transport.write(_HEAD_TOO_LARGE)
        self.transport.close()

    def _refuse(self, keeper: Doorkeeper, transport: asyncio.Transport) -> None:
        # It is no connection of the server any more: nothing waits for it, and it counts among the lingering.
        self.connections.discard(self)
        keeper.refusals.add(max_connections=keeper.max_connections)
        transport.write(_FULL)
        if keeper.lingering >= MAX_LINGERING or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        self._refused = True
        keeper.lingering += 1
        self._arm(LINGER_S)

    def _arm(self, delay_s: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(delay_s, self._expire)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if not self._refused:
            self.doorkeeper.lateness.add()
        self.transport.abort()
