"""All rooms of one process: entering, leaving and publishing.

Publishing is synchronous and never waits: the room notes the message, the outflow writes it out. It must not know
commands, authentication or sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from tidewire.accounts.grants import Address, resolve
from tidewire.core import protocol
from tidewire.core.clock import Clock
from tidewire.core.errors import InvalidRequest, Unavailable
from tidewire.core.protocol import Delivery, Since
from tidewire.hub.attendance import Attendance
from tidewire.hub.fanout import deliver
from tidewire.hub.history import Recovery
from tidewire.hub.outbox import Outcome
from tidewire.hub.outflow import Outflow, Scheduler
from tidewire.hub.posted import Posted
from tidewire.hub.room import Room, RoomRules
from tidewire.hub.session import Session, Subscription
from tidewire.hub.sweeping import Sweeping

MAX_ROOMS = 100_000


class RoomInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One room as pages show it."""

    room_id: str
    members: int
    present: int
    epoch: str
    offset: int
    delivery: Delivery
    published: int
    history_messages: int
    history_bytes: int


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a publish.

    Attributes:
        reached: How many connections are in the room, on all nodes, as each last said.
        not_counted: Names of nodes that may have more; absent if there are none.
    """

    room_id: str
    reached: int
    epoch: str | None = None
    offset: int | None = None
    not_counted: list[str] | msgspec.UnsetType = msgspec.UNSET


class Rooms:
    """See the module's text.

    Args:
        rules: Room family -> rules; a family that is missing here cannot be entered.
        epoch: A word that no other life of this process had.
        close_slow: Called for a connection that must be closed because it reads too slowly.
    """

    def __init__(
        self,
        rules: Mapping[str, RoomRules],
        *,
        clock: Clock,
        scheduler: Scheduler,
        epoch: str,
        close_slow: Callable[[Session], None],
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._epoch = epoch
        self._lives = 1
        self._close_slow = close_slow
        self._rooms: dict[str, Room[Session]] = {}
        self.attendance = Attendance(clock, self.push_to)
        self.outflow = Outflow(clock, scheduler, close_slow)
        self.published = 0
        # Called before somebody enters a room that nobody is in, so that a feature can put its present state there.
        self.fill: Callable[[Address, bool], None] | None = None
        # Rooms that somebody else forgets.
        self.pinned: set[str] = set()
        self._sweeping = Sweeping(clock.monotonic())

    def __len__(self) -> int:
        return len(self._rooms)

    def get(self, room_id: str) -> Room[Session] | None:
        """Return the room if it exists now."""
        return self._rooms.get(room_id)

    def has_family(self, family: str) -> bool:
        """Whether there are rooms of this kind here."""
        return family in self._rules

    def occupied(self, prefix: str) -> dict[str, int]:
        """Return the rooms that somebody is in, by prefix of their names, with how many connections are."""
        return {name: len(room) for name, room in self._rooms.items() if name.startswith(prefix) and len(room)}

    def rules_of(self, family: str) -> RoomRules | None:
        """Return how rooms of a family behave; None if there are none here."""
        return self._rules.get(family)

    def require_rules(self, family: str) -> RoomRules:
        """Return how rooms of a family behave. Raises InvalidRequest if there are none here."""
        rules = self._rules.get(family)
        if rules is None:
            raise InvalidRequest(
                f"There are no {family} rooms on this server.",
                required_action="Use a room of a feature that is switched on.",
                will_not="Tidewire will not open a room without rules.",
            )
        return rules

    def each(self) -> list[Room[Session]]:
        """Return every room itself."""
        return list(self._rooms.values())

    def info_of(self, room_id: str) -> RoomInfo | None:
        """Return one room, None if it does not exist now."""
        room = self._rooms.get(room_id)
        return None if room is None else self._describe(room)

    # ---- entering and leaving

    def enter(self, session: Session, address: Address, *, since: Since | None, presence: bool) -> list[bytes]:
        """Let a session in (again) and return what it must be sent at once, in order.

        Raises:
            InvalidRequest: Presence was asked for where none is kept.
            Unavailable: There are too many rooms.
        """
        # Refused before the room is made: who asks wrongly leaves nothing behind.
        if presence and not self.require_rules(address.family).presence:
            raise InvalidRequest(
                f"The room {address.room_id} does not keep who is inside.",
                required_action="Subscribe without presence.",
                will_not="Tidewire will not enter the room on other terms than asked.",
            )
        room = self.open(address)
        self._sweeping.entered(address.room_id)
        if not len(room) and self.fill is not None:
            self.fill(address, room.offset == 0)
        before = session.subscriptions.get(address.room_id)
        if before is not None and since is not None and _continues(session, before, since):
            offset, recovery = room.sent_offset(session), Recovery(True, [])
        else:
            session.outbox.leave(address.room_id)
            audience = room.rules.audience_of(session.principal)
            now = self._clock.monotonic()
            recovery = room.join(session, audience=audience, batch=session.batch, since=since, now=now)
            offset = room.offset
            start = since.offset if recovery.recovered and since is not None else offset
            member = before.member if before is not None else self.attendance.come(session, room)
            before = session.subscriptions[address.room_id] = Subscription(room, address, member, start)
        self.attendance.watch(session, room, presence)
        answer = protocol.Subscribed(
            room_id=address.room_id,
            epoch=room.epoch,
            offset=offset,
            recovered=recovery.recovered,
            replayed=len(recovery.messages),
            delivery=room.rules.delivery,
            reason=recovery.reason,
            missed_at_least=recovery.missed_at_least,
        )
        sent = [protocol.encode(answer), *recovery.messages]
        if presence:
            sent.append(self.attendance.state(address.room_id))
        return sent

    def leave(self, session: Session, room_id: str) -> bool:
        """Let a session out; False if it was not inside. What was held for it is forgotten."""
        subscription = session.subscriptions.pop(room_id, None)
        if subscription is None:
            return False
        subscription.room.leave(session)
        if not len(subscription.room):
            self._sweeping.vacated(room_id, self._clock.monotonic())
        session.outbox.leave(room_id)
        self.attendance.watch(session, subscription.room, False)
        if subscription.member:
            self.attendance.go(session, subscription.room)
        return True

    def move(self, session: Session, subscription: Subscription) -> None:
        """Put a session among those who see what its principal may see now; nothing is lost or doubled."""
        room = subscription.room
        audience = room.rules.audience_of(session.principal)
        owed = room.owed(session) if not subscription.suspended else None
        if owed is None or owed.audience == audience:
            return
        # Flushing the whole room for one member would let one client set the pace of all.
        for behind in deliver(owed) if owed.publications else ():
            outcome = behind.hold(room, owed.audience, owed.publications)
            if outcome is Outcome.CLOSE:
                self._close_slow(behind)
            if subscription.suspended or outcome is Outcome.CLOSE:
                return
        since = Since(room.epoch, room.offset)
        room.join(session, audience=audience, batch=session.batch, since=since, now=self._clock.monotonic())

    # ---- publishing

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
        """Send a message to a room without waiting. Raises InvalidRequest if there can be no such room.

        Args:
            place: What the message's source calls it; older ones than the room has are not sent.
        """
        room = self._rooms.get(room_id)
        if room is None:
            room = self.open(resolve(room_id))
        now = self._clock.monotonic()
        if place is not None and not self._make_way(room, place):
            return Published(room_id=room_id, reached=0, epoch=room.epoch, offset=room.offset)
        if place is None and room.guided:
            # Of another source than the one whose offsets the room has: shown, but without a place.
            delivery = "volatile"
        publication = room.publish(body, kind=kind, now=now, timestamp=self._clock.time(), delivery=delivery, key=key)
        self._noted(room, now)
        placed = publication.offset is not None
        return Published(
            room_id=room_id, reached=len(room), epoch=room.epoch if placed else None, offset=publication.offset
        )

    def publish_prefix(self, prefix: str, body: bytes, *, kind: str, key: str | None = None) -> int:
        """Send a message to every room that has members and whose name begins with ``prefix``; return the reach."""
        return sum(self.publish(name, body, kind=kind, key=key).reached for name in self.occupied(prefix))

    def receive(self, room: Room[Session], posted: Posted, *, offset: int | None, at: float) -> None:
        """Send on what was published on any node: with ``offset`` it is the room's next message, else it has no place.

        Raises:
            KeyError: It has no body for one of the room's audiences; nobody gets it.
        """
        if offset is None:
            room.publish(
                posted.body(),
                kind=posted.kind,
                now=at,
                timestamp=posted.timestamp,
                delivery=posted.delivery or "volatile",
                key=posted.key,
            )
        else:
            room.receive(
                posted.body(), kind=posted.kind, offset=offset, at=at, timestamp=posted.timestamp, key=posted.key
            )
        self._noted(room, self._clock.monotonic())

    def interrupt(self, room: Room[Session], *, to_offset: int, reason: str) -> int:
        """Tell every member that the room does not go on from where it was; each must enter again. Return how many."""
        self.outflow.flush(room)
        gap = protocol.Gap(
            room_id=room.room_id, epoch=room.epoch, from_offset=room.offset + 1, to_offset=to_offset, reason=reason
        )
        members = list(room)
        for session in members:
            room.leave(session)
            session.subscriptions[room.room_id].suspended = True
        self.push_to(members, [protocol.encode(gap)])
        return len(members)

    # ---- time

    def tick(self, now: float) -> None:
        """Sweep some of the rooms; called several times a second."""
        self.sweep(self._sweeping.due(now, self._rooms), now)

    def sweep(self, room_ids: Iterable[str], now: float) -> None:
        """Forget those rooms that nobody is in, that remember nothing and that nobody listens to."""
        for room_id in room_ids:
            room = self._rooms.get(room_id)
            if room is None or room.tap is not None or room.pending:
                continue
            kept = room_id in self.pinned or self.attendance.restless(room_id)
            if not kept and room.idle(now):
                self.forget(room)

    def forget(self, room: Room[Session]) -> None:
        """The room is not needed any more."""
        if self._rooms.get(room.room_id) is room:
            del self._rooms[room.room_id]
            self.attendance.forget(room.room_id)
            # A room that comes back starts at offset 0. If it had given a place to a message (or had another source's
            # places, and perhaps its own before), that is another life; if not, it is as if it had never gone.
            if room.offset or not room.epoch.startswith(self._epoch):
                self._lives += 1
        self.outflow.forget(room)

    # ---- inside

    def open(self, address: Address) -> Room[Session]:
        """Return the room, made if need be. Raises InvalidRequest or Unavailable."""
        room = self._rooms.get(address.room_id)
        if room is not None:
            return room
        rules = self.require_rules(address.family)
        if len(self._rooms) >= MAX_ROOMS:
            self.sweep(list(self._rooms), self._clock.monotonic())
        if len(self._rooms) >= MAX_ROOMS:
            raise Unavailable(
                "This node has as many rooms as it can keep.",
                required_action="Leave rooms that are not needed, or try again later.",
                will_not="Tidewire will not forget a room that somebody is in.",
                code="room_limit",
            )
        room = self._rooms[address.room_id] = Room(address.room_id, rules, self._first_epoch())
        # A publish may have made it, and nobody may ever come.
        self._sweeping.vacated(address.room_id, self._clock.monotonic())
        return room

    def _first_epoch(self) -> str:
        """Return the epoch of a room that is made now."""
        return f"{self._epoch}-{self._lives}"

    def _make_way(self, room: Room[Session], place: Since) -> bool:
        """Bring a room to the place before ``place``; False if it is there or beyond."""
        if place.epoch == room.epoch:
            if place.offset <= room.offset:
                return False
            if place.offset == room.offset + 1:
                return True
            # Ticks while nobody was inside, or lost on their way: what is remembered before the jump is of no use.
            self.outflow.flush(room)
        elif room.offset:
            self.interrupt(room, to_offset=room.offset + 1, reason="epoch_changed")
        room.restart(place.epoch, place.offset - 1)
        room.guided = True
        return True

    def _noted(self, room: Room[Session], now: float) -> None:
        self.published += 1
        if room.pending:
            self.outflow.schedule(room, now)

    def push_to(self, sessions: Iterable[Session], encoded: list[bytes], *, key: str | None = None) -> int:
        """Send connection-level messages to several connections; return how many took them."""
        delivery: Delivery = "lossless" if key is None else "latest"
        reached = 0
        for session in list(sessions):
            if session.lifecycle.open:
                reached += 1
                if session.push(encoded, delivery=delivery, key=key) is Outcome.CLOSE:
                    self._close_slow(session)
        return reached

    def _describe(self, room: Room[Session]) -> RoomInfo:
        return RoomInfo(
            room_id=room.room_id,
            members=len(room),
            present=self.attendance.count(room.room_id),
            epoch=room.epoch,
            offset=room.offset,
            delivery=room.rules.delivery,
            published=room.published,
            history_messages=len(room.history),
            history_bytes=room.history.held_bytes,
        )


def _continues(session: Session, before: Subscription, since: Since) -> bool:
    """Whether all that comes after ``since`` is on its way on this very connection already.

    Replaying it would give it twice; a client that names an older message than this connection began with rewinds.
    """
    room = before.room
    if before.suspended or since.epoch != room.epoch:
        return False
    return before.since <= since.offset <= room.sent_offset(session)
