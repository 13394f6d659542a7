"""One client connection: it numbers what is sent, holds back for a slow reader, and says goodbye.

It must not know rooms' rules, features or which library carries the socket; ``Socket`` is all it needs of it.
Source: contract.md section 5 (``sequence``, delivery classes, closing).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from tidewire.accounts.grants import Address
from tidewire.accounts.model import Principal
from tidewire.core import protocol
from tidewire.core.close_code import CLOSE_CODES, reconnect_after
from tidewire.core.protocol import Delivery
from tidewire.core.token_bucket import TokenBucket
from tidewire.hub.frame import HEADROOM_BYTES, text_frames, with_headroom
from tidewire.hub.history import Publication
from tidewire.hub.lifecycle import Lifecycle, State
from tidewire.hub.limit import ErrorBudget
from tidewire.hub.outbox import Outbox, Outcome, Verdict
from tidewire.hub.room import Room

# One frame of a client that catches up; a browser parses this in well under a frame time.
CHUNK_BYTES = 65_536


class Socket(Protocol):
    """What a session needs of the connection below it. Nothing here waits."""

    def send(self, buffer: bytearray, start: int) -> None:
        """Send ``buffer[start:]`` as one text frame; the ``start`` bytes before it (>= 14) are free for the header.

        Not before the first ``write``, because what answers the handshake may wait to leave with that.
        """
        ...

    def write(self, frames: bytes) -> None:
        """Send bytes that are whole frames already."""
        ...

    def ping(self, payload: bytes) -> None:
        """Send a ping frame."""
        ...

    def unwritten_bytes(self) -> int:
        """How much was taken and has not reached the kernel."""
        ...

    def hold_reading(self, hold: bool) -> None:
        """Stop or go on reading from the client."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; the connection ends when the peer has answered, or by ``abort``."""
        ...

    def abort(self) -> None:
        """End the connection at once, whatever is unwritten."""
        ...


class Peer(msgspec.Struct, frozen=True):
    """Who is at the other end, as the handshake says.

    Attributes:
        batch: Whether ``tidewire.v1.batch`` was agreed.
        admin_only: Whether the path is open to administrators only.
    """

    ip: str
    user_agent: str
    path: str
    batch: bool
    admin_only: bool = False


@dataclass(slots=True, eq=False)
class Subscription:
    """A room that a session is in.

    Attributes:
        member: Whether the user counts as present through this session.
        since: From the message after this offset on, everything has been sent on this connection.
        suspended: A gap was told; nothing is sent until the client subscribes again.
    """

    room: Room[Session]
    address: Address
    member: bool
    since: int
    suspended: bool = False


class Session:
    """See the module's text. The hub makes it; the fan-out writes its public fields.

    Attributes:
        fast: Whether messages may be written at once: open, not slow, nothing held. The fan-out looks at this alone.
        send: The socket's ``send``, one attribute away for the fan-out.
        sequence: Number of the last message written; also how many were.
        coming: Rooms that are being entered, with a ticket per request; one that is gone has turned back.
        early: Messages that came while the credentials were being checked.
        tap: Told of every message that comes, while somebody traces the connection.
    """

    __slots__ = (
        "__weakref__",
        "batch",
        "bucket",
        "bytes_in",
        "bytes_out",
        "checking",
        "close_code",
        "coming",
        "connected_at",
        "connection_id",
        "early",
        "errors",
        "fast",
        "in_flight",
        "last_sequence",
        "lifecycle",
        "marks",
        "messages_in",
        "outbox",
        "peer",
        "principal",
        "refusals",
        "round_trip_ms",
        "send",
        "sequence",
        "socket",
        "subscriptions",
        "tap",
    )

    def __init__(
        self,
        connection_id: str,
        socket: Socket,
        peer: Peer,
        *,
        lifecycle: Lifecycle,
        outbox: Outbox,
        bucket: TokenBucket,
        errors: ErrorBudget,
        connected_at: float,
    ) -> None:
        self.connection_id = connection_id
        self.socket = socket
        self.send: Callable[[bytearray, int], None] = socket.send
        self.peer = peer
        self.batch = peer.batch
        self.lifecycle = lifecycle
        self.outbox = outbox
        self.bucket = bucket
        self.errors = errors
        self.connected_at = connected_at
        self.principal: Principal | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.coming: dict[str, set[object]] = {}
        self.fast = False
        self.checking = False
        self.early: list[bytes] | None = None
        self.sequence = 0
        self.last_sequence = 0
        self.messages_in = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.in_flight = 0
        self.refusals = 0
        self.round_trip_ms: float | None = None
        self.close_code: int | None = None
        self.marks = (0.0, 0, 0)
        self.tap: Callable[[Literal["in"], bytes], None] | None = None

    # ---- sending

    def push(self, encoded: Sequence[bytes], *, delivery: Delivery = "lossless", key: str | None = None) -> Outcome:
        """Send messages that are this connection's own, in order. Returns ``CLOSE`` if the caller must close it."""
        if self.lifecycle.ended or not encoded:
            return Outcome.DROPPED
        if not len(self.outbox) and not self.lifecycle.is_slow:
            self._write(encoded)
            return Outcome.HELD
        outcome = Outcome.HELD
        for message in encoded:
            verdict = self.outbox.offer(
                message, delivery=delivery, key=key, in_flight_bytes=self.socket.unwritten_bytes()
            )
            outcome = self._act(verdict)
            if outcome is Outcome.CLOSE:
                break
        return outcome

    def hold(self, room: Room[Session], audience: str, publications: Sequence[Publication]) -> Outcome:
        """Take a room's messages for later, because the client reads too slowly now. ``CLOSE``: close it."""
        outcome = Outcome.HELD
        for publication in publications:
            if self.lifecycle.ended or self.subscriptions[room.room_id].suspended:
                return Outcome.DROPPED
            verdict = self.outbox.offer(
                publication.encoded[audience],
                delivery=publication.delivery,
                key=publication.key,
                in_flight_bytes=self.socket.unwritten_bytes(),
                room_id=room.room_id,
                offset=publication.offset,
                resumable=room.history.resumable and publication.delivery == "lossless",
            )
            outcome = self._act(verdict)
            if outcome is Outcome.CLOSE:
                break
        return outcome

    def slow(self, now: float) -> None:
        """The transport's buffer is over its mark: hold from here on."""
        self.lifecycle.slow(now)
        self.fast = False

    def quick(self) -> None:
        """The transport's buffer has drained: send what is held, as much as it takes."""
        self.lifecycle.quick()
        while len(self.outbox) and not self.lifecycle.is_slow:
            self._write(self.outbox.take(CHUNK_BYTES))
        self.fast = self.lifecycle.open and not self.lifecycle.is_slow

    def begin(self, now: float) -> None:
        """Open for messages in both directions."""
        self.lifecycle.move(State.OPEN, now)
        self.fast = not self.lifecycle.is_slow and not len(self.outbox)

    # ---- ending

    def close(
        self,
        code: int,
        *,
        now: float,
        timestamp: float,
        reconnect_after_ms: int | None = None,
        last: bytes | None = None,
    ) -> bool:
        """Say why (``last`` comes first), then start the closing handshake; False if it had begun before."""
        if self.lifecycle.ended:
            return False
        known = CLOSE_CODES.get(code)
        reason = known.name if known is not None else "closing"
        message = protocol.Connection(
            status="closing",
            timestamp=timestamp,
            code=code,
            reason=reason,
            reconnect=reconnect_after(code).value,
            reconnect_after_ms=reconnect_after_ms,
        )
        if self.lifecycle.open and code in (4000, 4001):
            # A planned end loses nothing: what is held goes out first (it is bounded by the outbox).
            while len(self.outbox):
                self._write(self.outbox.take(CHUNK_BYTES))
        self.outbox.clear()
        self._write([protocol.encode(message)] if last is None else [last, protocol.encode(message)])
        self.fast = False
        self.close_code = code
        self.lifecycle.move(State.CLOSING, now)
        self.socket.close(code, reason)
        return True

    def lose(self, code: int | None, now: float) -> None:
        """The connection is gone; nothing is sent any more. ``code``: from the peer's close frame, if there was one."""
        self.lifecycle.move(State.CLOSED, now)
        self.fast = False
        self.outbox.clear()
        if self.close_code is None:
            self.close_code = code

    # ---- inside

    def _act(self, verdict: Verdict) -> Outcome:
        for span in verdict.gaps:
            subscription = self.subscriptions.get(span.room_id)
            if subscription is None:
                continue
            subscription.suspended = True
            subscription.room.leave(self)
            gap = protocol.Gap(
                room_id=span.room_id,
                epoch=subscription.room.epoch,
                from_offset=span.from_offset,
                to_offset=span.to_offset,
                reason="slow_consumer",
            )
            # Its own size is under the relief that the gap has just brought.
            self.outbox.offer(protocol.encode(gap), delivery="lossless", in_flight_bytes=0)
        return verdict.outcome

    def _write(self, encoded: Sequence[bytes]) -> None:
        first = self.sequence + 1
        self.sequence += len(encoded)
        if self.batch:
            payloads = [protocol.batch_text(first, encoded)]
        else:
            payloads = [protocol.plain_text(first + i, message) for i, message in enumerate(encoded)]
        if len(payloads) == 1 and first > 1:
            self.bytes_out += len(payloads[0])
            self.send(with_headroom(payloads[0]), HEADROOM_BYTES)
            return
        frames = text_frames(payloads)
        self.bytes_out += len(frames)
        self.socket.write(frames)
