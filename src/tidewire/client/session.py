"""The client's whole conversation as a state machine: what came in and when -> what is to be done. Pure.

It must not know sockets, tasks or clocks: the shell (``carrier``) calls a method for everything that happens, carries
out the returned actions in order, and calls ``tick`` at ``due_ms()``. The TypeScript client is the same machine.
Source: docs/protocol.md; contract.md section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from tidewire.client.event import (
    Action,
    Close,
    Connect,
    Failure,
    FetchToken,
    Json,
    Link,
    Note,
    RoomEnded,
    Settle,
)
from tidewire.client.frame import FrameFault, read, read_frame, read_reply
from tidewire.client.heartbeat import Heartbeat, Verdict
from tidewire.client.ledger import Ledger
from tidewire.client.outgoing import Outgoing
from tidewire.client.retry import Retry, judge, judge_status
from tidewire.client.rooms import Rooms
from tidewire.client.state import (
    CLOSE_FAULT,
    CLOSE_SILENT,
    CONNECT_TIMEOUT_MS,
    NO_CLOSE_FRAME,
    SIGNS_OF_LIFE,
    STATE_INVALIDATED,
    TOKEN_EXPIRED,
    State,
)
from tidewire.client.token import TokenWatch
from tidewire.core import protocol
from tidewire.core.close_code import Reconnect
from tidewire.core.protocol import BATCH, Since


class Session:
    """See the module's text.

    Args:
        draw: Returns a uniform random number in [0, 1).
        with_token: Whether the shell can fetch tokens; then each connection begins with one.
        max_queue: How many requests may wait to be sent.
    """

    def __init__(self, *, draw: Callable[[], float], with_token: bool, max_queue: int = 100) -> None:
        self.state = State.IDLE
        self.rooms = Rooms()
        self._ledger = Ledger(max_queue)
        self._outgoing = Outgoing(self.rooms, self._ledger)
        self._draw = draw
        self._with_token = with_token
        self._retry = Retry()
        self._heartbeat = Heartbeat()
        self._token_watch = TokenWatch()
        self._due_ms = 0
        self._batch = False
        self.sequence = 0
        self._token: str | None = None
        self._auth_id: int | None = None
        self._refresh_id: int | None = None
        self._closing: protocol.Connection | None = None
        self._drained_ms: int | None = None
        # What each message of the server's own does; every other type belongs to a feature.
        self._handlers: dict[str, Callable[[dict[str, Json], int], None]] = {
            "connection": self._connection,
            "reply": self._reply,
            "subscribed": self._subscribed,
            "unsubscribed": self._unsubscribed,
            "room_event": self._room_event,
            "gap": self._gap,
        }

    # ---- what the program wants

    def start(self, now_ms: int) -> list[Action]:
        """Connect, and stay connected."""
        if self.state is State.IDLE:
            self._begin(now_ms)
        return self._outgoing.take()

    def stop(self, now_ms: int) -> list[Action]:
        """End for good."""
        if self.state is not State.ENDED:
            if self.state in (State.CONNECTING, State.READY):
                self._outgoing.actions.append(Close(1000, "client_closed"))
            self._end(1000, "client_closed", None)
        return self._outgoing.take()

    def nudge(self, now_ms: int) -> list[Action]:
        """Do not wait any longer for the next attempt, e.g. because the network is back."""
        if self.state is State.WAITING:
            self._begin(now_ms)
        return self._outgoing.take()

    def subscribe(self, room_id: str, since: Since | None, presence: bool, now_ms: int) -> list[Action]:
        """Enter a room and stay in it. Once per room."""
        if self.state is State.ENDED:
            return [RoomEnded(room_id, Failure("client_closed"))]
        if room_id in self.rooms:
            return [RoomEnded(room_id, Failure("already_subscribed"))]
        self.rooms.add(room_id, since, presence)
        return self._flush(now_ms)

    def unsubscribe(self, room_id: str, now_ms: int) -> list[Action]:
        """Leave a room."""
        if room_id in self.rooms:
            self._outgoing.actions.append(RoomEnded(room_id, None))
        if self.rooms.remove(room_id):
            self._outgoing.leave(room_id, now_ms)
        return self._outgoing.take()

    def pause(self, room_id: str, now_ms: int) -> list[Action]:
        """The room's consumer is behind: leave, to come back with ``since``."""
        if self.rooms.pause(room_id):
            self._outgoing.leave(room_id, now_ms)
        return self._outgoing.take()

    def resume(self, room_id: str, now_ms: int) -> list[Action]:
        """The room's consumer has caught up."""
        self.rooms.resume(room_id)
        return self._flush(now_ms)

    def request(self, op: int, message: Mapping[str, Json], now_ms: int) -> list[Action]:
        """Send a message that is answered by a reply; it waits in a bounded queue while there is no connection."""
        if self.state is State.ENDED:
            return [Settle(op, error=Failure("client_closed"))]
        refused = self._ledger.offer(op, message)
        return [refused] if refused is not None else self._flush(now_ms)

    def cancel(self, op: int) -> bool:
        """Forget a request; True if it was never sent."""
        return self._ledger.cancel(op)

    def statistics(self) -> dict[str, int]:
        """Return what waits and what is entered now."""
        return msgspec.structs.asdict(self._ledger.statistics()) | self.rooms.statistics()

    # ---- what the shell reports

    def token(self, value: str, now_ms: int) -> list[Action]:
        """A token has been fetched."""
        if self.state is State.FETCHING:
            self._token = value
            self._connect(now_ms)
        elif self.state is State.READY and self._token_watch.fetching and self._refresh_id is None:
            self._refresh_id = self._outgoing.send({"type": "auth_refresh", "token": value}, now_ms)
        return self._outgoing.take()

    def token_failed(self, reason: str, final: bool, now_ms: int) -> list[Action]:
        """No token could be fetched; ``final`` if there will never be one."""
        if self.state is State.FETCHING:
            if final:
                self._end(None, reason, Failure(reason))
            else:
                self._wait(Reconnect.BACKOFF, None, None, reason, now_ms)
        elif self.state is State.READY and self._token_watch.fetching:
            self._token_watch.fail(now_ms)
        return self._outgoing.take()

    def opened(self, subprotocol: str | None, now_ms: int) -> list[Action]:
        """The WebSocket handshake is done."""
        if self.state is State.CONNECTING:
            self._batch = subprotocol == BATCH
            if self._token is not None:
                self._auth_id = self._outgoing.send({"type": "authenticate", "token": self._token}, now_ms)
        return self._outgoing.take()

    def received(self, text: str | bytes, now_ms: int) -> list[Action]:
        """A text frame came."""
        if self.state not in (State.CONNECTING, State.READY):
            return []
        self._heartbeat.alive(now_ms)
        try:
            for sequence, body in read_frame(text, batch=self._batch):
                if sequence != self.sequence + 1:
                    raise FrameFault("sequence_hole")
                self.sequence = sequence
                self._apply(body, now_ms)
                if self.state not in (State.CONNECTING, State.READY):
                    break
        except FrameFault as fault:
            self._fault(CLOSE_FAULT, str(fault), now_ms)
        return self._flush(now_ms)

    def lost(self, code: int, reason: str, now_ms: int) -> list[Action]:
        """The socket is gone; ``code`` from its close frame, 1006 without one."""
        if self.state in (State.CONNECTING, State.READY):
            self._disconnect(code, reason or None, now_ms)
        return self._outgoing.take()

    def refused(self, status: int, retry_after_ms: int | None, now_ms: int) -> list[Action]:
        """The handshake was answered with an HTTP status instead of the upgrade."""
        if self.state is State.CONNECTING:
            if judge_status(status) is Reconnect.NEVER:
                self._end(status, "handshake_refused", Failure("handshake_refused"))
            else:
                self._wait(Reconnect.BACKOFF, retry_after_ms, status, "handshake_refused", now_ms)
        return self._outgoing.take()

    def tick(self, now_ms: int) -> list[Action]:
        """Do what is due."""
        if self.state is State.WAITING and now_ms >= self._due_ms:
            self._begin(now_ms)
        elif self.state is State.CONNECTING and now_ms >= self._due_ms:
            self._fault(CLOSE_SILENT, "connect_timeout", now_ms)
        elif self.state is State.READY:
            self._tick_ready(now_ms)
        return self._outgoing.take()

    def due_ms(self) -> int | None:
        """Return when ``tick`` must be called next; None if only events can change anything."""
        if self.state in (State.WAITING, State.CONNECTING):
            return self._due_ms
        if self.state is not State.READY:
            return None
        times = [self._heartbeat.due_ms(), self._ledger.due_ms()]
        times.append(self._outgoing.pacer.due_ms() if self._outgoing.blocked else self.rooms.due_ms())
        if self._with_token:
            times.append(self._token_watch.due_ms())
        return min(time for time in times if time is not None)

    # ---- the connection's life

    def _begin(self, now_ms: int) -> None:
        self._token = None
        if self._with_token:
            # Tokens are good for one connection, so each attempt needs its own.
            self.state = State.FETCHING
            self._outgoing.actions += [Link("connecting"), FetchToken("connect")]
        else:
            self._outgoing.actions.append(Link("connecting"))
            self._connect(now_ms)

    def _connect(self, now_ms: int) -> None:
        self.state = State.CONNECTING
        self._due_ms = now_ms + CONNECT_TIMEOUT_MS
        self.sequence = 0
        self._auth_id = self._refresh_id = self._closing = self._drained_ms = None
        self._outgoing.actions.append(Connect())

    def _fault(self, code: int, reason: str, now_ms: int) -> None:
        """The server broke the protocol or fell silent: connect anew and resume."""
        self._outgoing.actions.append(Close(code, reason))
        self._disconnect(NO_CLOSE_FRAME, reason, now_ms)

    def _disconnect(self, code: int, reason: str | None, now_ms: int) -> None:
        word, hint_ms = None, None
        if self._closing is not None and self._closing.code is not None:
            # The message before the close frame says more, and arrives also where the close frame gets lost.
            code, reason, word = self._closing.code, self._closing.reason, self._closing.reconnect
            hint_ms = self._closing.reconnect_after_ms
        if hint_ms is None and self._drained_ms is not None:
            hint_ms = self._drained_ms - now_ms
        action = judge(code, word)
        if code == STATE_INVALIDATED:
            self.rooms.forget()
        if action is Reconnect.NEVER or (action is Reconnect.NEW_TOKEN and not self._with_token):
            self._end(code, reason, Failure(reason or "closed"))
        else:
            self._wait(action, hint_ms, code, reason, now_ms)

    def _wait(self, action: Reconnect, hint_ms: int | None, code: int | None, reason: str | None, now_ms: int) -> None:
        self._retry.lost(now_ms)
        self._drop()
        self.rooms.lost()
        delay_ms = self._retry.delay_ms(action, hint_ms, self._draw())
        self.state = State.WAITING
        self._due_ms = now_ms + delay_ms
        self._outgoing.actions.append(Link("waiting", retry_in_ms=delay_ms, code=code, reason=reason))

    def _end(self, code: int | None, reason: str | None, failure: Failure | None) -> None:
        self.state = State.ENDED
        self._drop()
        self._outgoing.actions += self._ledger.end(failure or Failure("client_closed"))
        self._outgoing.actions += self.rooms.end(failure)
        self._outgoing.actions.append(Link("ended", code=code, reason=reason))

    def _drop(self) -> None:
        self._token_watch.reset()
        self._outgoing.blocked = False
        self._outgoing.actions += self._ledger.lost()

    def _tick_ready(self, now_ms: int) -> None:
        verdict = self._heartbeat.look(now_ms)
        if verdict is Verdict.DEAD:
            self._fault(CLOSE_SILENT, "silence", now_ms)
            return
        if verdict is Verdict.PROBE:
            self._outgoing.ping(self.sequence, now_ms)
        due_ms = self._token_watch.due_ms()
        if self._with_token and due_ms is not None and due_ms <= now_ms:
            self._token_watch.fetching = True
            self._outgoing.actions.append(FetchToken("refresh"))
        self._outgoing.actions += self._ledger.expire(now_ms)
        self._outgoing.fill(now_ms)

    def _flush(self, now_ms: int) -> list[Action]:
        if self.state is State.READY:
            self._outgoing.fill(now_ms)
        return self._outgoing.take()

    # ---- messages

    def _apply(self, body: dict[str, Json], now_ms: int) -> None:
        kind = str(body["type"])
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(body, now_ms)
            return
        room_id = body.get("room_id")
        if kind == "heartbeat" and self.state is State.READY:
            # Any frame would do as an answer; this one also tells the server how far we have read.
            self._outgoing.ping(self.sequence, now_ms)
        if kind in SIGNS_OF_LIFE:
            return
        if isinstance(room_id, str):
            self._outgoing.actions += self.rooms.message(room_id, body)
            self._pause_if_due(room_id, now_ms)
        else:
            self._outgoing.actions.append(Note(kind, {name: value for name, value in body.items() if name != "type"}))

    def _connection(self, body: dict[str, Json], now_ms: int) -> None:
        message = read(body, protocol.Connection)
        if message.status == "connected":
            self._connected(message, now_ms)
        elif message.status == "refreshed":
            self._refresh_id = None
            self._token_watch.learn(message.token_expires_at, message.timestamp, now_ms)
        elif message.status == "token_expiring":
            self._token_watch.hurry(now_ms)
        elif message.status == "draining" and message.reconnect_after_ms is not None:
            self._drained_ms = now_ms + message.reconnect_after_ms
        elif message.status == "closing":
            self._closing = message

    def _connected(self, message: protocol.Connection, now_ms: int) -> None:
        if self.state is not State.CONNECTING or (self._token is not None and message.user is None):
            # Anonymous for now: the answer to our token is still to come.
            return
        self.state = State.READY
        if message.reconnect_terms is not None:
            self._retry.terms = message.reconnect_terms
        self._retry.ready(now_ms)
        self._heartbeat.begin(message.heartbeat, now_ms)
        self._outgoing.pacer.begin(message.limits, now_ms)
        if message.limits is not None:
            self._ledger.message_bytes = message.limits.message_bytes
        self._token_watch.learn(message.token_expires_at, message.timestamp, now_ms)
        self.rooms.begin(None if message.user is None else f"user:{message.user.user_id}")
        self._outgoing.actions.append(Link("connected", connection_id=message.connection_id, user=message.user))

    def _reply(self, body: dict[str, Json], now_ms: int) -> None:
        message_id, data, failure = read_reply(body)
        if message_id is None:
            return
        if message_id == self._auth_id:
            if failure is not None:
                self._outgoing.actions.append(Close(1000, failure.code))
                self._disconnect(TOKEN_EXPIRED, failure.code, now_ms)
            return
        if message_id == self._refresh_id:
            self._refresh_id = None
            if failure is not None:
                self._token_watch.fail(now_ms)
            return
        ours, actions = self.rooms.reply(message_id, failure, now_ms)
        settled = None if ours else self._ledger.answer(message_id, data, failure)
        self._outgoing.actions += actions if settled is None else [settled]

    def _subscribed(self, body: dict[str, Json], now_ms: int) -> None:
        answer = read(body, protocol.Subscribed)
        self._outgoing.actions += self.rooms.subscribed(answer)
        self._pause_if_due(answer.room_id, now_ms)

    def _unsubscribed(self, body: dict[str, Json], now_ms: int) -> None:
        self._outgoing.actions += self.rooms.unsubscribed(read(body, protocol.Unsubscribed))

    def _room_event(self, body: dict[str, Json], now_ms: int) -> None:
        self._outgoing.actions += self.rooms.presence(read(body, protocol.RoomEvent))

    def _gap(self, body: dict[str, Json], now_ms: int) -> None:
        self.rooms.gap(read(body, protocol.Gap))

    def _pause_if_due(self, room_id: str, now_ms: int) -> None:
        if self.rooms.to_pause(room_id) and self.rooms.pause(room_id):
            self._outgoing.leave(room_id, now_ms)
