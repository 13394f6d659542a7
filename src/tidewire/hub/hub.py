"""The hub: connections come and go, say who they are, ask for things, and are sent things.

The gateway brings sockets (``open``, ``receive``, ``lost``), features publish (``publish``, ``send_to_*``), accounts
report changes (``standing``), ``app.py`` starts, drains and stops it. It must not know features, HTTP or
which library carries the sockets. The work is done in switchboard, door, rooms and command.
Source: contract.md section 5.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from tidewire.accounts.credential import Credential
from tidewire.accounts.grants import FAMILIES, Address, resolve
from tidewire.core.clock import Clock
from tidewire.core.protocol import Delivery, Member, Since
from tidewire.hub import census
from tidewire.hub.builtin import Builtin
from tidewire.hub.command import Command, Commands
from tidewire.hub.door import Authenticate, Door, Recheck
from tidewire.hub.drain import drain
from tidewire.hub.features import Features
from tidewire.hub.links import Links
from tidewire.hub.outflow import Scheduler
from tidewire.hub.reception import Reception
from tidewire.hub.registry import ConnectionInfo
from tidewire.hub.room import EVERYBODY, Room, RoomRules
from tidewire.hub.rooms import Published, RoomInfo
from tidewire.hub.session import Peer, Session, Socket
from tidewire.hub.standing import Standing
from tidewire.hub.switchboard import HubOptions, Switchboard
from tidewire.hub.tally import HubStatistics, count
from tidewire.hub.user_limit import Elsewhere


class Hub:
    """See the module's text.

    Args:
        authenticate: Finds out who a credential stands for.
        recheck: Asked at each heartbeat (25 s) whether a login still stands, and what it may.
        rules: Room family -> rules; only these families can be entered.
        commands: Further client messages, from features.
        links: What this node shares with others; None if it is alone.
        opened, closed: Told about every connection, for the record; must not block.

    Attributes:
        features: What features may do beside publishing.
        standing: Who the people are that are connected, and what they may.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        scheduler: Scheduler,
        authenticate: Authenticate,
        rules: Mapping[str, RoomRules],
        options: HubOptions | None = None,
        recheck: Recheck | None = None,
        commands: Iterable[Command] = (),
        links: Links | None = None,
        opened: Callable[[ConnectionInfo], None] | None = None,
        closed: Callable[[ConnectionInfo], None] | None = None,
    ) -> None:
        options = options or HubOptions()
        self._clock = clock
        self._board = Switchboard(
            rules, options, clock=clock, scheduler=scheduler, links=links, opened=opened, closed=closed
        )
        self._door = Door(self._board, authenticate, recheck)
        builtin = Builtin(self._board, self._door)
        table = Commands([*builtin.commands(), *commands])
        self._reception = Reception(self._board, self._door, table)
        self.features = Features(self._board, builtin, table)
        self._door.moved = self.features.tell_moved
        self.standing = Standing(self._board, self._door)
        self._options = options
        self._draining = False
        self._random = random.Random()  # noqa: S311 - spreads clients, hides nothing

    # ---- running

    async def start(self) -> None:
        """Begin to keep time."""
        await self._board.start()

    async def stop(self) -> None:
        """Cut every connection and end every task. Call ``drain`` before for a kind end. Idempotent."""
        self._draining = True
        await self._board.stop()

    async def drain(self, window_s: float = 10.0) -> int:
        """Stop accepting, tell everybody, and close with 4000 spread over the window; return how many there were.

        Takes the window and, if peers do not answer their close frames, at most the closing deadline more.
        """
        self._draining = True
        return await drain(self._board, self._random, window_s)

    def welcome(self, newcomers: bool) -> None:
        """Take new clients from now on, or not, for a drain that is no end."""
        self._draining = not newcomers

    # ---- for the gateway

    @property
    def options(self) -> HubOptions:
        """What the operator set."""
        return self._options

    @property
    def accepting(self) -> bool:
        """Whether a new connection is welcome."""
        return not self._draining

    def connection_count(self) -> int:
        """Return how many connections there are."""
        return len(self._board.registry)

    def logins(self) -> int:
        """Return how many logins have at least one connection; it looks at each of them."""
        return self._board.registry.logins()

    def unknown_from(self, ip: str) -> int:
        """Return how many connections of an address have not said who they are."""
        return self._board.registry.unknown_from(ip)

    def open(self, socket: Socket, peer: Peer, credential: Credential | None) -> Session:
        """Take a connection whose WebSocket handshake is done."""
        return self._door.open(socket, peer, credential)

    def receive(self, session: Session, payload: bytes) -> None:
        """Take one whole text message."""
        session.messages_in += 1
        session.bytes_in += len(payload)
        session.lifecycle.receive(self._clock.monotonic())
        if session.lifecycle.ended:
            return
        if session.checking and not session.lifecycle.open:
            self._door.keep_early(session, payload)
        else:
            self._reception.handle(session, payload)

    def alive(self, session: Session, round_trip_of: bytes = b"") -> None:
        """Note a control frame; a pong carries the payload of the ping it answers."""
        now = self._clock.monotonic()
        session.lifecycle.receive(now)
        if round_trip_of.isdigit() and len(round_trip_of) < 20:
            elapsed_ms = now * 1000 - int(round_trip_of) / 1000
            # A pong that nobody asked for may carry any number.
            if 0 <= elapsed_ms < 1000 * self._options.timing.heartbeat_s:
                session.round_trip_ms = round(elapsed_ms, 3)

    def slow(self, session: Session) -> None:
        """The socket's buffer is over its mark."""
        self._board.slow(session)

    def quick(self, session: Session) -> None:
        """The socket's buffer has drained."""
        session.quick()

    def close(self, session: Session, code: int) -> None:
        """Say goodbye with a code of the contract."""
        self._board.close(session, code)

    def lost(self, session: Session, code: int | None) -> None:
        """The connection is gone."""
        self._board.lost(session, code)

    # ---- for features

    def publish(
        self,
        room_id: str,
        body: bytes | Mapping[str, bytes],
        *,
        kind: str = "room_message",
        delivery: Delivery | None = None,
        key: str | None = None,
        place: Since | None = None,
    ) -> Published:
        """Send a message to a room of this node alone, without waiting for anybody; see ``post``.

        Args:
            body: The message's members as a JSON object (see ``protocol.data_body``); one per audience if it differs.
            kind: Its type on the wire.
            delivery: The room's own class unless said otherwise; only the room's own class has offsets.
            key: In a ``latest`` class: what it is the newest of.
            place: What its source calls it, in a room that every node fills from the same source.

        Raises:
            RuntimeError: The room is shared with other nodes: that needs ``post``.
        """
        if self._board.shared is not None and self._board.shared.covers(resolve(room_id)):
            raise RuntimeError(f"{room_id} is shared with other nodes; use post()")
        return self._board.rooms.publish(room_id, body, kind=kind, delivery=delivery, key=key, place=place)

    async def post(
        self,
        room_id: str,
        body: bytes | Mapping[str, bytes],
        *,
        kind: str = "room_message",
        delivery: Delivery | None = None,
        key: str | None = None,
        op_key: str | None = None,
    ) -> Published:
        """Send a message to a room, on whichever nodes it is; return when it has its place there.

        Args:
            op_key: Names this message; the same again within five minutes has the same outcome and is sent once. Only
                where rooms are shared.

        Raises:
            BusError: It was not sent, or whether it was is unknown (the text says which).
        """
        shared = self._board.shared
        if shared is None or not shared.covers(resolve(room_id)):
            return self._board.rooms.publish(room_id, body, kind=kind, delivery=delivery, key=key)
        return await shared.posting.publish(room_id, body, kind=kind, delivery=delivery, key=key, op_key=op_key)

    async def follow(self, room_id: str) -> None:
        """Return when ``room``, ``history`` and ``members`` say what any node would. Raises BusError."""
        shared, address = self._board.shared, resolve(room_id)
        if shared is not None and shared.covers(address):
            await shared.ready(address)

    def publish_prefix(self, prefix: str, body: bytes, *, kind: str = "room_message", key: str | None = None) -> int:
        """Send a message to every room of this node with members whose name begins with ``prefix``; return the reach.

        Raises:
            RuntimeError: Those rooms are shared with other nodes: that needs ``Everywhere.publish_prefix``.
        """
        if self.shares(prefix):
            raise RuntimeError(f"{prefix} rooms are shared with other nodes; use Everywhere.publish_prefix()")
        return self._board.rooms.publish_prefix(prefix, body, kind=kind, key=key)

    def shares(self, prefix: str) -> bool:
        """Whether rooms whose name begins with ``prefix`` (a family and a colon, or more) have a log for all nodes."""
        family, shared = next(name for name in FAMILIES if prefix.startswith(f"{name}:")), self._board.shared
        return shared is not None and shared.covers(Address(prefix, family, ""))

    def occupied_rooms(self, prefix: str) -> dict[str, int]:
        """Return the rooms that somebody is in, by prefix of their names, with how many connections are."""
        return self._board.rooms.occupied(prefix)

    def send_to_connection(self, connection_id: str, encoded: bytes) -> int:
        """Send an encoded message to one connection; return how many (0 or 1) it reached."""
        session = self._board.registry.get(connection_id)
        return 0 if session is None else self._board.rooms.push_to((session,), [encoded])

    def send_to_user(self, user_id: int, encoded: bytes) -> int:
        """Send an encoded message to all connections of a user; return how many it reached."""
        return self._board.rooms.push_to(self._board.registry.of_user(user_id), [encoded])

    def send_to_holders(self, permission: str, encoded: bytes) -> int:
        """Send to every connection whose user has a permission; "" stands for every connection, strangers too."""
        chosen = [
            session
            for session in self._board.registry
            if not permission or (session.principal is not None and session.principal.can(permission))
        ]
        return self._board.rooms.push_to(chosen, [encoded])

    def occupied(self, room_id: str) -> bool:
        """Whether anybody is in the room; features that feed many rooms ask before they make a message."""
        room = self._board.rooms.get(room_id)
        return room is not None and len(room) > 0

    def on_filling(self, fill: Callable[[Address, bool], None]) -> None:
        """Call ``fill(address, is_new)`` before somebody enters an empty room; it may publish its state there."""
        self._board.rooms.fill = fill

    def history(self, room_id: str, count: int, audience: str = EVERYBODY) -> list[bytes]:
        """Return the newest messages that a room remembers, oldest first."""
        room = self._board.rooms.get(room_id)
        return [] if room is None else room.history.tail(audience, count, self._clock.monotonic())

    def members(self, room_id: str) -> list[Member]:
        """Return who is present in a room that keeps it."""
        return self._board.rooms.attendance.members(room_id)

    # ---- for other nodes

    def confirm_before_catch_up(self, confirm: Callable[[], Awaitable[None]]) -> None:
        """Await ``confirm`` before messages that a break held up are sent on; it raises BusError or StoreError."""
        if self._board.shared is not None:
            self._board.shared.before_catch_up = confirm

    def know_nodes(self, elsewhere: Elsewhere, known: Callable[[], tuple[Collection[str], list[str]]]) -> None:
        """Ask ``elsewhere`` of a user's connections on other nodes, ``known`` which nodes live or are silent."""
        self._board.limit.elsewhere = elsewhere
        if self._board.counts is not None:
            self._board.counts.known = known

    def user_connections(self, user_id: int) -> int:
        """Return how many connections a user has here or is about to have."""
        return self._board.limit.count(user_id)

    def force_disconnect(self, connection_id: str) -> int:
        """Close one connection because an administrator wants it (4503)."""
        session = self._board.registry.get(connection_id)
        return 0 if session is None else int(self._board.close(session, 4503))

    # ---- for pages

    def session(self, connection_id: str) -> Session | None:
        """Return one living connection itself, for who listens to it."""
        return self._board.registry.get(connection_id)

    def sessions_of(self, user_id: int) -> list[Session]:
        """Return a user's living connections themselves, oldest first."""
        return self._board.registry.of_user(user_id)

    def room_itself(self, room_id: str) -> Room[Session] | None:
        """Return one room itself, for who listens to it."""
        return self._board.rooms.get(room_id)

    def list_connections(self, query: census.ConnectionQuery) -> census.ConnectionsHere:
        """Return this node's part of a page of connections."""
        board, now, wall = self._board, self._clock.monotonic(), self._clock.time()
        return census.list_connections(board.registry, query, board.describe, now=now, wall=wall)

    def each_room(self) -> list[Room[Session]]:
        """Return every room as it is, for lists that look at thousands and describe a few."""
        return self._board.rooms.each()

    def connection(self, connection_id: str) -> ConnectionInfo | None:
        """Return one living connection."""
        session = self._board.registry.get(connection_id)
        return None if session is None else self._board.describe(session)

    def recently_closed(self) -> list[ConnectionInfo]:
        """Return the last connections that ended, newest first."""
        return list(self._board.registry.recent)

    def room(self, room_id: str) -> RoomInfo | None:
        """Return one room, None if it does not exist now."""
        return self._board.rooms.info_of(room_id)

    def statistics(self) -> HubStatistics:
        """Return counters."""
        return count(self._board)
