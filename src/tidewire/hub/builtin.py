"""What every client may ask of the hub: ping, subscribe, unsubscribe, publish, auth_refresh.

It must not know features or sockets. Each handler returns the data of the reply, or raises RequestError.
Source: contract.md section 5, "Client -> server".
"""

from __future__ import annotations

from collections.abc import Awaitable

import msgspec

from tidewire.accounts.grants import Address, require_enter, require_publish, resolve
from tidewire.core import protocol
from tidewire.core.errors import Conflict, InvalidRequest, NotFound
from tidewire.core.protocol import Delivery, Sender
from tidewire.hub.command import Answer, Command, normal_json
from tidewire.hub.door import Door, permitted
from tidewire.hub.repetition import Repetitions
from tidewire.hub.rooms import Published
from tidewire.hub.session import Session
from tidewire.hub.shared_rooms import SharedRooms
from tidewire.hub.switchboard import Switchboard


class Builtin:
    """The handlers; ``commands`` is their table."""

    def __init__(self, board: Switchboard, door: Door) -> None:
        self._board = board
        self._door = door
        self._repetitions = Repetitions()

    def commands(self) -> list[Command]:
        """Return the table."""
        return [
            Command(protocol.Ping, self.ping),
            Command(protocol.Subscribe, self.subscribe),
            Command(protocol.Unsubscribe, self.unsubscribe),
            Command(protocol.Publish, self.publish),
            Command(protocol.Authenticate, self.authenticate),
            Command(protocol.AuthRefresh, self.auth_refresh),
        ]

    def ping(self, session: Session, message: protocol.Ping) -> Answer:
        """Answer with a pong; a client that has seen more than was sent is confused and must start again."""
        if message.last_sequence is not None:
            if message.last_sequence > session.sequence:
                self._board.close(session, 4002)
                return b""
            session.last_sequence = message.last_sequence
        pong = protocol.Pong(timestamp=self._board.clock.time(), last_sequence=message.last_sequence)
        self._board.push(session, [protocol.encode(pong)])
        return b""

    def subscribe(self, session: Session, message: protocol.Subscribe) -> Answer:
        """Enter a room: state or missed messages first, then live ones."""
        address = permitted(session, message.room_id)
        limit = self._board.options.rooms_per_connection
        if message.room_id not in session.subscriptions and len(session.subscriptions) >= limit:
            raise InvalidRequest(
                f"This connection is in {limit} rooms already, which is the limit.",
                required_action="Unsubscribe from a room, or open another connection.",
                will_not="Tidewire will not enter another room on this connection.",
                code="room_limit",
            )
        shared = self._board.shared
        if shared is not None and shared.covers(address) and not shared.at_once(address, message.since):
            ticket = object()
            session.coming.setdefault(address.room_id, set()).add(ticket)
            return self._enter_later(session, address, message, shared, ticket)
        return self._enter(session, address, message)

    def _enter(self, session: Session, address: Address, message: protocol.Subscribe) -> bytes:
        rooms = self._board.rooms
        self._board.push(session, rooms.enter(session, address, since=message.since, presence=message.presence))
        return b""

    async def _enter_later(
        self, session: Session, address: Address, message: protocol.Subscribe, shared: SharedRooms, ticket: object
    ) -> bytes:
        """Enter when the node knows the room; what has happened meanwhile counts."""
        coming = session.coming.get(address.room_id, set())
        try:
            await shared.ready(address, message.since)
            if ticket not in coming:
                raise Conflict(
                    "You have left the room before you were in it.",
                    required_action="Subscribe again if you want to be in it.",
                    will_not="Tidewire will not let you in now.",
                )
        finally:
            coming.discard(ticket)
            if not coming and session.coming.get(address.room_id) is coming:
                del session.coming[address.room_id]
        require_enter(session.principal, address)
        return self._enter(session, address, message) if session.lifecycle.open else b""

    def unsubscribe(self, session: Session, message: protocol.Unsubscribe) -> Answer:
        """Leave a room, also one that is only being entered."""
        coming = session.coming.pop(message.room_id, None)
        if coming is not None:
            coming.clear()
        if not self._board.rooms.leave(session, message.room_id) and coming is None:
            raise NotFound(
                "You are not in that room.",
                required_action="Nothing; or subscribe first.",
                will_not="Tidewire will not send you its messages.",
            )
        left = protocol.Unsubscribed(room_id=message.room_id, reason="requested")
        self._board.push(session, [protocol.encode(left)])
        return b""

    def publish(self, session: Session, message: protocol.Publish) -> Answer:
        """Send to a room; the sender is in the message, and gets it like everybody else if it is in the room."""
        address = resolve(message.room_id)
        require_publish(session.principal, address)
        principal = session.principal
        sender = Sender(user_id=principal.user_id, username=principal.username) if principal is not None else None
        body = protocol.data_body(normal_json(message.data), sender)
        delivery: Delivery | None = "volatile" if message.volatile else None
        # Two users may choose the same words.
        op_key = None if message.op_id is None else f"{principal.user_id if principal else ''}/{message.op_id}"
        shared = self._board.shared
        if shared is None or not shared.covers(address):
            return self._publish_here(message.room_id, body, delivery, op_key)
        return _encoded(
            shared.posting.publish(
                message.room_id, body, kind="room_message", delivery=delivery, key=None, op_key=op_key
            )
        )

    def _publish_here(self, room_id: str, body: bytes, delivery: Delivery | None, op_key: str | None) -> bytes:
        now = self._board.clock.monotonic()
        done = None if op_key is None else self._repetitions.recall(room_id, op_key, now)
        if done is None:
            done = msgspec.json.encode(self._board.rooms.publish(room_id, body, delivery=delivery))
            if op_key is not None:
                self._repetitions.remember(room_id, op_key, done, now)
        return done

    def authenticate(self, session: Session, message: protocol.Authenticate) -> Answer:
        """An anonymous connection may still say who it is; a known one may not become somebody else."""
        if session.principal is not None:
            raise Conflict(
                "This connection is authenticated already.",
                required_action="Send auth_refresh to extend it.",
                will_not="Tidewire will not authenticate it again.",
            )
        return self._promote(session, message.token)

    def auth_refresh(self, session: Session, message: protocol.AuthRefresh) -> Answer:
        """Extend the session in place."""
        return self._refresh(session, message.token)

    async def _promote(self, session: Session, token: str) -> bytes:
        await self._door.promote(session, token)
        return b""

    async def _refresh(self, session: Session, token: str) -> bytes:
        await self._door.refresh(session, token)
        return b""


async def _encoded(publishing: Awaitable[Published]) -> bytes:
    return msgspec.json.encode(await publishing)
