"""The Socket.IO namespace /admin-ws: admits administrators, answers what they ask. It must not know how cookies work.

Nothing is sent from the connect handler, because that would arrive before the CONNECT packet; the server calls
``joined`` right behind it. Which client events exist is one table; everything else is an explicit error.
Source: docs/admin-channel.md; dashboard.md 2.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import socketio
import structlog
from msgspec import UNSET
from socketio.exceptions import ConnectionRefusedError as Refused

from tidewire.accounts.model import Principal
from tidewire.accounts.permissions import NoteRefused, lacks_right
from tidewire.core.background import background
from tidewire.core.errors import NotFound, RateLimited, RequestError, TidewireError, Unauthenticated, told
from tidewire.core.watched_loop import WatchedLoop
from tidewire.monitoring.admin_request import InspectTick, Nothing, SetOptions, Stream, parse_request
from tidewire.monitoring.admin_session import AdminSession, AdminSessions, Authenticate, address_of
from tidewire.monitoring.admin_stream import AdminStream
from tidewire.monitoring.feed_control import AskFeed, Audit, FeedControl
from tidewire.monitoring.feed_monitor import FeedMonitor
from tidewire.monitoring.viewer import HARD_QUEUE, SOFT_QUEUE, Options

NAMESPACE = "/admin-ws"
ROOM = "admin_monitoring"
# Their refusals are in the activity log under their own names (feed_control.py).
AUDITED = frozenset({"pause_feed", "resume_feed", "reconnect_line", "move_ticker"})

Ack = dict[str, Any]
_Handler = Callable[[AdminSession, tuple[object, ...]], Awaitable[Ack]]


class AdminNamespace(socketio.AsyncNamespace):  # type: ignore[misc]
    """The namespace. Register it on the server, then ``start`` it together with the monitor.

    Args:
        authenticate: Returns the principal of a handshake's ASGI scope, or None; asked again every minute.
        monitor: Where everything shown comes from; gets this namespace's stream as its watcher.
        ask_feed: Sends a command to the feed process and returns its reply.
        audit: Writes one line of the audit log.
    """

    def __init__(self, *, authenticate: Authenticate, monitor: FeedMonitor, ask_feed: AskFeed, audit: Audit) -> None:
        super().__init__(NAMESPACE)
        self._monitor = monitor
        self._sessions = AdminSessions(authenticate, monitor.clock, self._end)
        self._stream = AdminStream(NAMESPACE, monitor, self._end)
        self._control = FeedControl(ask_feed, audit)
        self._loop = WatchedLoop("sessions", 1.0, self._sessions.verify_due, monitor.clock)
        self._cuts: set[asyncio.Task[None]] = set()
        self._failures = 0
        self.on_refused: NoteRefused = lambda principal, asked, ip: None
        self._log = structlog.get_logger("tidewire.monitoring")
        self._handlers: dict[str, _Handler] = {
            "request_snapshot": self._request_snapshot,
            "request_metrics": self._request_metrics,
            "set_options": self._set_options,
            "pause_stream": self._pause_stream,
            "resume_stream": self._resume_stream,
            "inspect_tick": self._inspect_tick,
            "pause_feed": self._control_feed(self._control.pause),
            "resume_feed": self._control_feed(self._control.resume),
            "reconnect_line": self._control_feed(self._control.reconnect),
            "move_ticker": self._control_feed(self._control.move),
        }
        monitor.attach(self._stream)

    def start(self) -> None:
        """Start checking sessions. Raises RuntimeError if it runs already."""
        self._loop.start()
        self._monitor.watch_loop(self._loop)

    async def stop(self) -> None:
        """Stop checking sessions and wait for cuts under way. Idempotent; the server's shutdown ends the sockets."""
        await self._loop.stop()
        await asyncio.gather(*self._cuts, return_exceptions=True)

    async def end_session(self, session_id: str) -> None:
        """Close every socket of an account session that has ended (logout, revocation); returns when they are."""
        error = Unauthenticated(
            "Your session has ended.",
            required_action="Log in at /login, then open the page again.",
            will_not="Tidewire will not send you anything more.",
            code="logged_out",
        )
        for sid in self._sessions.mark_ended(session_id):
            self._end(sid, error)
        await asyncio.gather(*self._cuts, return_exceptions=True)

    def end_barred(self, bars: Callable[[int | None, str], TidewireError | None]) -> int:
        """Tell every socket whose user or address ``bars`` why, and close it; return how many.

        What is queued may leave for a second.
        """
        found = [(each.sid, bars(each.principal.user_id, each.ip)) for each in self._sessions]
        ended = [(sid, error) for sid, error in found if error is not None]
        for sid, error in ended:
            self._end(sid, error)
        return len(ended)

    async def verify_user(self, user_id: int) -> None:
        """Ask again about every socket of a user who has been changed; those who may be here no longer are ended."""
        await self._sessions.verify_user(user_id)

    def statistics(self) -> dict[str, int]:
        """Return sizes and counters."""
        return {**self._stream.statistics(), "sessions": len(self._sessions), "handler_failures": self._failures}

    # What the Socket.IO server calls.

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Dispatch by table; the library would call any method whose name begins with ``on_``."""
        if event == "connect":
            return await self.on_connect(*args)
        if event == "disconnect":
            return await self.on_disconnect(*args)
        return await self._answer(event, *args)

    async def on_connect(self, sid: str, environ: MutableMapping[str, Any], _auth: object = None) -> None:
        """Let administrators in. Raises ConnectionRefusedError with an error object."""
        if self._stream.door is None:
            self._stream.door = self.server
        try:
            session = await self._sessions.admit(sid, environ["asgi.scope"])
        except RequestError as exc:
            scope = environ["asgi.scope"]
            known = (scope.get("state") or {}).get("principal")
            self._note_refused(known, "connect", address_of(scope), exc)
            word = {401: "unauthorized", 403: "forbidden"}.get(exc.status, "unavailable")
            self._log.info("admin_refused", code=exc.code)
            raise Refused(word, told(exc)) from exc
        except Exception as exc:
            self._failures += 1
            self._log.exception("admin_connect_failed")
            raise Refused("unavailable", _internal("Your session could not be checked.").describe()) from exc
        principal = session.principal
        for room in (ROOM, f"user:{principal.user_id}", f"session:{principal.session_id}"):
            await self.enter_room(sid, room)
        self._log.info("admin_connected", user=principal.username)

    async def joined(self, sid: str) -> None:
        """The CONNECT packet is on its way: the first event may follow it."""
        session = self._sessions.get(sid)
        if session is None or self._sessions.has_ended(session.principal.session_id):
            await self.server.cut(sid, namespace=NAMESPACE)
            return
        self._stream.add(sid)

    async def on_disconnect(self, sid: str, reason: str = "") -> None:
        """Forget the socket. A peer that has gone is not an error."""
        self._stream.remove(sid)
        session = self._sessions.remove(sid)
        if session is not None:
            self._log.info("admin_disconnected", user=session.principal.username, reason=reason)

    def _note_refused(self, principal: Principal | None, event: str, ip: str, error: TidewireError) -> None:
        if principal is not None and lacks_right(error):
            self.on_refused(principal, f"{NAMESPACE} {event}", ip)

    async def _answer(self, event: str, sid: str, *arguments: object) -> Ack:
        session = self._sessions.get(sid)
        try:
            handler = self._handlers.get(event)
            if session is None:
                raise RequestError(
                    "This socket has ended.",
                    required_action="Connect again.",
                    will_not="Tidewire will not answer on it.",
                    code="gone",
                )
            if handler is None:
                raise NotFound(
                    f"There is no event {event!r} on this channel.",
                    required_action="Use an event of docs/admin-channel.md.",
                    will_not="Tidewire will not guess what was meant.",
                    code="unknown_event",
                    details={"event": str(event)[:64]},
                )
            self._check_reads(sid, HARD_QUEUE)
            return {"ok": True, **await handler(session, arguments)}
        except TidewireError as exc:
            if session is not None and event not in AUDITED:
                self._note_refused(session.principal, event, session.ip, exc)
            return _refusal(exc)
        except Exception:  # noqa: BLE001 - root of a handler task: logged, counted, answered
            self._failures += 1
            self._log.exception("admin_event_failed", event_name=event, failures=self._failures)
            return _refusal(_internal(f"{event} failed inside Tidewire; it is in the log."))

    # The events of docs/admin-channel.md.

    async def _request_snapshot(self, session: AdminSession, arguments: tuple[object, ...]) -> Ack:
        parse_request(arguments, Nothing)
        self._check_reads(session.sid, SOFT_QUEUE // 4)
        now = self._monitor.clock.monotonic()
        if not session.snapshots.take(now):
            raise RateLimited(
                "Too many snapshots.",
                required_action="Ask at most once a second; changes arrive by themselves.",
                will_not="Tidewire will not send this one.",
                retry_after_ms=int(session.snapshots.wait_s(now) * 1000) + 1,
            )
        snapshot = self._stream.snapshot(session.sid)
        return {
            "status": snapshot.status,
            "history": snapshot.history,
            "ticks": snapshot.ticks,
            "paused": snapshot.paused,
            "options": snapshot.options,
            "server_time": self._monitor.clock.time(),
            "can": {"feed_control": session.principal.can("feed:control")},
        }

    async def _request_metrics(self, session: AdminSession, arguments: tuple[object, ...]) -> Ack:
        parse_request(arguments, Nothing)
        self._check_reads(session.sid, SOFT_QUEUE)
        self._stream.send_metrics(session.sid)
        return {}

    async def _set_options(self, session: AdminSession, arguments: tuple[object, ...]) -> Ack:
        wanted = parse_request(arguments, SetOptions)
        present = self._stream.options(session.sid)
        options = Options(
            batch=wanted.batch if isinstance(wanted.batch, bool) else present.batch,
            filter=present.filter if wanted.filter is UNSET else wanted.filter,
        )
        self._stream.set_options(session.sid, options)
        return {"options": options}

    async def _pause_stream(self, session: AdminSession, arguments: tuple[object, ...]) -> Ack:
        return {"paused": self._stream.pause(session.sid, self._lane(arguments))}

    async def _resume_stream(self, session: AdminSession, arguments: tuple[object, ...]) -> Ack:
        paused, resumed = self._stream.resume(session.sid, self._lane(arguments))
        ticks = {lane: [seen.wire() for seen in held] for lane, held in resumed.ticks.items()}
        return {"paused": paused, "ticks": ticks, "skipped": resumed.skipped}

    async def _inspect_tick(self, session: AdminSession, arguments: tuple[object, ...]) -> Ack:
        wanted = parse_request(arguments, InspectTick)
        self._check_reads(session.sid, SOFT_QUEUE)
        seen = self._monitor.view.find(wanted.id)
        if seen is None:
            raise NotFound(
                f"Tick {wanted.id} is no longer kept.",
                required_action="Inspect a newer tick; pausing the stream leaves you more time.",
                will_not="Tidewire will not invent what it has forgotten.",
                code="tick_forgotten",
                details={"tick": wanted.id},
            )
        return await self._control.inspect(seen, session.principal, session.ip)

    def _control_feed(self, act: Callable[[Principal, tuple[object, ...], str], Awaitable[None]]) -> _Handler:
        """Return the handler of an event that touches everybody."""

        async def handle(session: AdminSession, arguments: tuple[object, ...]) -> Ack:
            await act(await self._verified(session), arguments, session.ip)
            return {}

        return handle

    async def _verified(self, session: AdminSession) -> Principal:
        """What touches everybody is checked against the account store now, not a minute ago."""
        try:
            return await self._sessions.verify(session)
        except RequestError as exc:
            if exc.status in (401, 403):
                self._end(session.sid, exc)
            raise

    def _lane(self, arguments: tuple[object, ...]) -> str | None:
        lane = parse_request(arguments, Stream).connection_id
        if lane is not None and lane not in self._monitor.view.lanes():
            raise NotFound(
                "There is no such connection.",
                required_action="Use a connection_id of the status, or unassigned; leave it out for all.",
                will_not="Tidewire will not change any stream.",
                code="unknown_connection",
            )
        return lane

    def _check_reads(self, sid: str, most: int) -> None:
        """Refuse to queue an answer behind ``most`` unread packets: answers would grow the queue without bound."""
        if self._stream.queue_size(sid) > most:
            raise RateLimited(
                "This page has not read what was sent before.",
                required_action="Wait until it has caught up.",
                will_not="Tidewire will not queue more for it now.",
                code="slow_viewer",
            )

    def _end(self, sid: str, error: TidewireError) -> None:
        """Tell the viewer why, then close its socket; the closing is bounded and goes on in a task."""
        self._stream.push(sid, "error", told(error))
        self._stream.remove(sid)
        self._sessions.remove(sid)
        self._log.info("admin_ended", code=error.code)
        task = background(self.server.cut(sid, namespace=NAMESPACE), "admin-cut")
        self._cuts.add(task)
        task.add_done_callback(self._cuts.discard)


def _internal(message: str) -> TidewireError:
    return TidewireError(
        message,
        required_action="Try again; if it happens again, look at the server's log.",
        will_not="Tidewire will not pretend that it worked.",
    )


def _refusal(error: TidewireError) -> Ack:
    described: dict[str, object] = {**told(error)}
    if isinstance(error, RequestError) and error.retry_after_ms is not None:
        described["retry_after_ms"] = error.retry_after_ms
    return {"ok": False, "error": described}
