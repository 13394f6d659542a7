"""A Socket.IO server that survives its clients: JSON over WebSocket, bounded, every peer can be freed.

It adds to python-socketio what that leaves open (reliability.md finding 9, dashboard.md 2.2): a look at the send queue
before each push, a disconnect that frees a peer that does not read, a deadline for sockets that join no namespace, and
a hook that runs *after* the CONNECT packet was queued. It must not know any feature.

A namespace handler may define ``async def joined(self, sid)``; it is called right behind the CONNECT packet.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import engineio
import socketio
import structlog
from engineio import packet as engine_packet

from tidewire.core.background import background
from tidewire.core.clock import Clock, SystemClock
from tidewire.core.errors import RateLimited
from tidewire.web.socketio_guard import RECORD_KEY, SocketGuard, SocketLimits, SocketRecord
from tidewire.web.socketio_packet import BadPacket, JsonPacket, ack_text, event_packet

_EVENT = 2


class _Engine(engineio.AsyncServer):  # type: ignore[misc]
    """Engine.IO that keeps hold of its background tasks, so that none outlives the server."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.background: set[asyncio.Task[Any]] = set()

    def start_background_task(
        self, target: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        """Run ``target`` until it ends or the server shuts down."""
        task = super().start_background_task(target, *args, **kwargs)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task  # type: ignore[no-any-return]


class HardenedServer(socketio.AsyncServer):  # type: ignore[misc]
    """See the module's text. Made by ``create_socketio``."""

    def __init__(self, *, limits: SocketLimits, clock: Clock, **options: Any) -> None:
        super().__init__(serializer=JsonPacket, **options)
        # The default lets everybody join "/", which would satisfy the deadline without any check.
        self.namespaces: list[str] = []
        self.counts: Counter[str] = Counter()
        self.stopped = False
        self._limits = limits
        self._clock = clock
        self._records: dict[str, SocketRecord] = {}
        self._deadlines: dict[str, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("tidewire.web.socketio")

    def encode_event(self, event: str, data: object, *, namespace: str) -> engine_packet.Packet:
        """Return an event ready for ``push``; one packet can be pushed to any number of sockets."""
        return event_packet(event, data, namespace)

    def push(self, sid: str, packet: engine_packet.Packet, *, namespace: str) -> bool:
        """Queue a packet without waiting. Look at ``queue_size`` first: the queue itself has no bound.

        Returns:
            Whether the socket is still there.
        """
        socket = self._socket(sid, namespace)
        if socket is None or socket.closing or socket.closed:
            return False
        socket.queue.put_nowait(packet)
        return True

    def queue_size(self, sid: str, *, namespace: str) -> int:
        """Return how many packets the peer has not taken yet; 0 if it is gone."""
        socket = self._socket(sid, namespace)
        return 0 if socket is None else int(socket.queue.qsize())

    async def cut(self, sid: str, *, namespace: str) -> None:
        """End the socket behind ``sid``: what is queued may still leave for a second, then the transport is aborted."""
        eio_sid = self.manager.eio_sid_from_sid(sid, namespace)
        await self.disconnect(sid, namespace=namespace)
        await self._close(eio_sid)

    async def shutdown(self) -> None:
        """End every socket and every task. Call it before the web server stops. Idempotent."""
        # First, so that a page that reconnects at once does not start what nobody would stop.
        self.stopped = True
        for record in list(self._records.values()):
            record.abort()
        for timer in self._deadlines.values():
            timer.cancel()
        self._deadlines.clear()
        # The library awaits the handle without looking whether there is (still) one.
        if self.eio.service_task_handle is not None:
            await super().shutdown()
        tasks = [*self.eio.background, *self._closing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def statistics(self) -> dict[str, int]:
        """Return open sessions and counters since the start."""
        return {"sessions": len(self._records), **self.counts}

    def refuse_over_rate(self, record: SocketRecord, text: str, now: float) -> None:
        """Acknowledge a message that came too fast with an error; one that asks for no answer is dropped."""
        try:
            packet = JsonPacket(encoded_packet=text[1:])
        except BadPacket:
            return
        socket = self.eio.sockets.get(record.eio_sid)
        if packet.packet_type != _EVENT or packet.id is None or socket is None or socket.closing:
            return
        error = RateLimited(
            "Too many messages on this socket.",
            required_action=f"Wait {record.retry_after_ms(now)} ms between messages.",
            will_not="Tidewire will not act on this message.",
        )
        answer = {"ok": False, "error": {**error.describe(), "retry_after_ms": record.retry_after_ms(now)}}
        socket.queue.put_nowait(
            engine_packet.Packet(engine_packet.MESSAGE, ack_text(packet.namespace, packet.id, answer))
        )

    async def forget(self, record: SocketRecord) -> None:
        """Drop whatever is left of a socket whose ASGI call has ended."""
        if record.eio_sid:
            await self._handle_eio_disconnect(record.eio_sid, self.reason.TRANSPORT_CLOSE)
            self.eio.sockets.pop(record.eio_sid, None)

    def _engineio_server_class(self) -> type[_Engine]:
        return _Engine

    def _socket(self, sid: str, namespace: str) -> Any:
        return self.eio.sockets.get(self.manager.eio_sid_from_sid(sid, namespace))

    async def _close(self, eio_sid: str | None) -> None:
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            # Never wait=True: it waits for the queue to drain, which a peer that does not read never lets happen.
            await socket.close(wait=False)

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        record: SocketRecord = environ["asgi.scope"][RECORD_KEY]
        record.eio_sid = eio_sid
        self._records[eio_sid] = record
        self._expect_join(eio_sid)

    async def _handle_eio_message(self, eio_sid: str, data: object) -> None:
        record = self._records.get(eio_sid)
        if record is None:
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except BadPacket as exc:
            self.counts["violations"] += 1
            self._log.warning("socketio_violation", reason=str(exc), address=record.address)
            record.close_soon("malformed packet", 1008)
            await self._close(eio_sid)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        await super()._handle_eio_disconnect(eio_sid, reason)
        self._stop_expecting(eio_sid)
        record = self._records.pop(eio_sid, None)
        socket = self.eio.sockets.get(eio_sid)
        if record is not None and socket is not None:
            record.close_soon()
            # Behind the CLOSE packet that may follow this call: ends the writer, which then closes the WebSocket.
            asyncio.get_running_loop().call_soon(socket.queue.put_nowait, None)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: object) -> None:
        name = namespace or "/"
        if self.manager.sid_from_eio_sid(eio_sid, name) is not None:
            await super()._handle_connect(eio_sid, namespace, data)
            return
        await super()._handle_connect(eio_sid, namespace, data)
        sid = self.manager.sid_from_eio_sid(eio_sid, name)
        if sid is None or not self.manager.is_connected(sid, name):
            return
        if eio_sid not in self._records:
            # The socket ended while its credentials were being checked; the library would keep it for ever.
            await self._handle_disconnect(eio_sid, name, self.reason.TRANSPORT_CLOSE)
            return
        self._stop_expecting(eio_sid)
        joined = getattr(self.namespace_handlers.get(name), "joined", None)
        if joined is not None:
            await joined(sid)

    async def _handle_disconnect(self, eio_sid: str, namespace: str | None, reason: str | None = None) -> None:
        await super()._handle_disconnect(eio_sid, namespace, reason)
        if eio_sid in self._records and not self._has_joined(eio_sid):
            self._expect_join(eio_sid)

    def _has_joined(self, eio_sid: str) -> bool:
        names = list(self.manager.get_namespaces())
        return any(self.manager.sid_from_eio_sid(eio_sid, name) is not None for name in names)

    def _expect_join(self, eio_sid: str) -> None:
        self._stop_expecting(eio_sid)
        loop = asyncio.get_running_loop()
        self._deadlines[eio_sid] = loop.call_later(self._limits.join_timeout_s, self._not_joined, eio_sid)

    def _stop_expecting(self, eio_sid: str) -> None:
        timer = self._deadlines.pop(eio_sid, None)
        if timer is not None:
            timer.cancel()

    def _not_joined(self, eio_sid: str) -> None:
        self._deadlines.pop(eio_sid, None)
        record = self._records.get(eio_sid)
        if record is None:
            return
        self.counts["never_joined"] += 1
        self._log.info("socketio_never_joined", address=record.address)
        record.close_soon("joined no namespace", 1008)
        task = background(self._close(eio_sid), "socketio-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def create_socketio(
    origin_allowed: Callable[[str | None], bool],
    *,
    limits: SocketLimits | None = None,
    clock: Clock | None = None,
    ping_interval_s: int = 25,
    ping_timeout_s: int = 20,
) -> tuple[HardenedServer, SocketGuard]:
    """Return the server, for namespaces to be registered on, and the ASGI application, to be mounted at /socket.io.

    Args:
        origin_allowed: Called with the Origin header, None if there is none (see socketio_guard).
        limits: Bounds; the defaults are those of docs/admin-channel.md.
        clock: Time for the rate limit.
        ping_interval_s, ping_timeout_s: Engine.IO heartbeat; the defaults are the protocol's own.
    """
    chosen, time = limits or SocketLimits(), clock or SystemClock()
    # The library prints to stderr and, at INFO, every payload; its errors go where all logs go, and nothing else does.
    library_log = logging.getLogger("tidewire.web.socketio.library")
    library_log.setLevel(logging.ERROR)
    server = HardenedServer(
        limits=chosen,
        clock=time,
        async_mode="asgi",
        transports=["websocket"],
        cors_allowed_origins=[],  # the gate has asked already, and never trusts X-Forwarded-*
        max_http_buffer_size=chosen.max_message_bytes,
        ping_interval=ping_interval_s,
        ping_timeout=ping_timeout_s,
        logger=library_log,
        engineio_logger=library_log,
    )
    return server, SocketGuard(server, origin_allowed, chosen, time)
