"""A hub in memory that speaks docs/protocol.md to one client, and can be told to misbehave. Pure, for client tests.

It shares no code with ``tidewire.hub``: two readings of the same document are compared here.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

from tidewire.core import protocol

Delivery = Literal["lossless", "latest"]


@dataclass
class ModelRoom:
    """A room: what was published, and how much of it is remembered."""

    name: str
    epoch: str
    delivery: Delivery = "lossless"
    offset: int = 0
    history: list[tuple[int, bytes]] = field(default_factory=list)
    newest: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def publish(self, timestamp: float, keys: int) -> tuple[int, bytes]:
        """Add a message; its data is its offset and, in ``latest`` rooms, its key."""
        self.offset += 1
        key = self.offset % keys
        body = protocol.data_body(json.dumps({"n": self.offset, "key": key}).encode())
        encoded = protocol.room_message(
            "room_message", self.name, body, timestamp=timestamp, epoch=self.epoch, offset=self.offset
        )
        self.history.append((self.offset, encoded))
        self.newest.pop(key, None)
        self.newest[key] = (self.offset, encoded)
        return self.offset, encoded


@dataclass
class _Pending:
    encoded: bytes
    room: str | None = None
    offset: int | None = None
    key: int | None = None


class Wire:
    """One connection as the server sees it; ``out`` has not reached the client yet."""

    def __init__(self, batch: bool) -> None:
        self.batch = batch
        self.out: deque[_Pending] = deque()
        self.rooms: set[str] = set()
        self.sequence = 0
        self.open = True

    def say(self, message: dict[str, Any]) -> None:
        """Send any message."""
        self.out.append(_Pending(json.dumps(message).encode()))

    def spoil(self, room: str, *, repeat: bool) -> None:
        """Make a faulty server of it: say a live message on its way twice, or forget it without a word."""
        for index, pending in enumerate(self.out):
            if pending.room == room:
                if repeat:
                    self.out.insert(index, pending)
                else:
                    del self.out[index]
                return

    def frames(self, count: int) -> list[str]:
        """Take up to ``count`` messages off the way, as frames."""
        taken = [self.out.popleft().encoded for _ in range(min(count, len(self.out)))]
        if not taken:
            return []
        first = self.sequence + 1
        self.sequence += len(taken)
        if self.batch:
            return [protocol.batch_text(first, taken).decode()]
        return [protocol.plain_text(first + i, encoded).decode() for i, encoded in enumerate(taken)]


class ModelHub:
    """See the module's text.

    Args:
        rooms: Names and delivery classes of the rooms that may be entered.
        user_id: Who the client is; the server enters ``user:{id}`` by itself if there is such a room.
    """

    def __init__(self, rooms: dict[str, Delivery], *, user_id: int = 1, keys: int = 3) -> None:
        self.lives = 1
        self.user_id = user_id
        self.keys = keys
        self.rooms = {name: ModelRoom(name, f"e1-{name}", delivery) for name, delivery in rooms.items()}
        self.wire: Wire | None = None
        self.timestamp = 1_700_000_000.5
        self.published: list[dict[str, Any]] = []

    def connect(self, *, batch: bool, greet: bool = True) -> Wire:
        """Take a connection; the one before is gone."""
        wire = self.wire = Wire(batch)
        if greet:
            self.greet(wire)
        return wire

    def greet(self, wire: Wire, **more: Any) -> None:
        """Say ``connected`` and enter the user's own room."""
        connected = protocol.Connection(
            status="connected",
            timestamp=self.timestamp,
            connection_id=f"c-{self.lives}",
            user=protocol.Identity(user_id=self.user_id, username="ada", role="user", permissions=[]),
            heartbeat=protocol.HeartbeatTerms(interval_ms=25_000, timeout_ms=10_000),
            limits=protocol.Limits(
                message_bytes=65_536, rooms=100, messages_per_second=50, burst=100, connections_per_user=10
            ),
            reconnect_terms=protocol.ReconnectTerms(min_delay_ms=500, max_delay_ms=20_000, stable_after_ms=60_000),
            **more,
        )
        self.push(wire, connected)
        own = f"user:{self.user_id}"
        if own in self.rooms:
            self._enter(wire, self.rooms[own], None)

    def push(self, wire: Wire, message: Any) -> None:
        """Send a connection's own message."""
        wire.out.append(_Pending(protocol.encode(message)))

    def cut(self) -> None:
        """The connection is gone, with all that was on its way."""
        if self.wire is not None:
            self.wire.open = False
        self.wire = None

    def restart(self) -> None:
        """Forget everything: new epochs, offsets from 0."""
        self.cut()
        self.lives += 1
        for name, room in list(self.rooms.items()):
            self.rooms[name] = ModelRoom(name, f"e{self.lives}-{name}", room.delivery)

    def trim(self, name: str, keep: int) -> None:
        """Forget all but the newest messages of a room."""
        room = self.rooms[name]
        room.history = room.history[len(room.history) - keep :] if keep else []

    def publish(self, name: str) -> int:
        """Publish a message; return its offset."""
        room = self.rooms[name]
        offset, encoded = room.publish(self.timestamp, self.keys)
        if self.wire is not None and name in self.wire.rooms:
            self.wire.out.append(_Pending(encoded, name, offset, offset % self.keys))
        return offset

    def gap(self, name: str) -> bool:
        """Give up what is on its way of a lossless room, as for a slow reader."""
        wire = self.wire
        if wire is None or name not in wire.rooms or self.rooms[name].delivery != "lossless":
            return False
        lost = [pending.offset for pending in wire.out if pending.room == name and pending.offset is not None]
        if not lost:
            return False
        wire.out = deque(pending for pending in wire.out if pending.room != name)
        wire.rooms.discard(name)
        room = self.rooms[name]
        self.push(
            wire,
            protocol.Gap(
                room_id=name, epoch=room.epoch, from_offset=lost[0], to_offset=lost[-1], reason="slow_consumer"
            ),
        )
        return True

    def conflate(self, name: str) -> None:
        """In a ``latest`` room, let newer live messages on their way replace older ones with the same key."""
        wire = self.wire
        if wire is None or self.rooms[name].delivery != "latest":
            return
        newest = {pending.key: pending.offset for pending in wire.out if pending.room == name}
        wire.out = deque(p for p in wire.out if p.room != name or newest[p.key] == p.offset)

    def receive(self, text: bytes) -> None:
        """Take a client message."""
        wire = self.wire
        if wire is None:
            return
        message = json.loads(text)
        kind, request_id = message["type"], message.get("id")
        if kind == "authenticate":
            self.greet(wire)
        elif kind == "ping":
            self.push(wire, protocol.Pong(timestamp=self.timestamp, last_sequence=message.get("last_sequence")))
        elif kind == "subscribe":
            if message["room_id"] not in self.rooms:
                self.refuse(wire, request_id, "permission_denied")
                return
            self._enter(wire, self.rooms[message["room_id"]], message.get("since"))
        elif kind == "unsubscribe":
            wire.rooms.discard(message["room_id"])
            self.push(wire, protocol.Unsubscribed(room_id=message["room_id"], reason="requested"))
        elif kind == "publish":
            self.published.append(message)
        if request_id is not None:
            self.push(wire, protocol.Reply(id=request_id, ok=True))

    def refuse(self, wire: Wire, request_id: int, code: str, **more: Any) -> None:
        """Answer with an error."""
        body = protocol.ErrorBody(code=code, message=f"No: {code}.", required_action="None.", will_not="No.", **more)
        self.push(wire, protocol.Reply(id=request_id, ok=False, error=body))

    def _enter(self, wire: Wire, room: ModelRoom, since: dict[str, Any] | None) -> None:
        reason: str | None
        missed: list[tuple[int, bytes]] = []
        if since is None:
            reason = "not_requested"
        elif since["epoch"] != room.epoch:
            reason = "epoch_changed"
        elif since["offset"] > room.offset:
            reason = "offset_ahead"
        else:
            missed = [entry for entry in room.history if entry[0] > since["offset"]]
            reason = None if len(missed) == room.offset - since["offset"] else "history_trimmed"
        if reason is not None:
            missed = list(room.newest.values()) if room.delivery == "latest" else []
        # What is live on its way is part of the replay or was told lost; a second stay begins clean.
        wire.out = deque(pending for pending in wire.out if pending.room != room.name)
        wire.rooms.add(room.name)
        answer = protocol.Subscribed(
            room_id=room.name,
            epoch=room.epoch,
            offset=room.offset,
            recovered=reason is None,
            replayed=len(missed),
            delivery=room.delivery,
            reason=reason,
        )
        self.push(wire, answer)
        wire.out.extend(_Pending(encoded) for _, encoded in missed)
