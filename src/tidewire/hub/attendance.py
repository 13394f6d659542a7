"""Presence of all rooms: who counts as inside, and who is told about it.

It must not know rooms' messages or grants. Source: contract.md section 5, "Presence".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tidewire.core import protocol
from tidewire.core.clock import Clock
from tidewire.core.protocol import Member
from tidewire.hub.presence import Presence
from tidewire.hub.room import Room
from tidewire.hub.session import Session


class Attendance:
    """See the module's text.

    Args:
        push: Sends messages to several sessions.

    Attributes:
        on_local: Called with room, member and whether it came, for a user's first and last connection on this node.
    """

    def __init__(self, clock: Clock, push: Callable[[Iterable[Session], list[bytes]], int]) -> None:
        self._clock = clock
        self._push = push
        self._presence: dict[str, Presence] = {}
        self._watchers: dict[str, dict[Session, None]] = {}
        self._restless: dict[str, None] = {}
        # Only counted where other nodes want to know: connections per room and user.
        self._local: dict[str, dict[int, int]] = {}
        self.on_local: Callable[[str, Member, bool], None] | None = None

    def count(self, room_id: str) -> int:
        """Return how many users are present."""
        return len(self._presence.get(room_id, ()))

    def restless(self, room_id: str) -> bool:
        """Whether changes of the room have not been told yet."""
        return room_id in self._restless

    def members(self, room_id: str) -> list[Member]:
        """Return who is present, at most as many as a message lists."""
        presence = self._presence.get(room_id)
        return presence.state(timestamp=0.0).members or [] if presence is not None else []

    def state(self, room_id: str) -> bytes:
        """Return the message that says who is present."""
        return protocol.encode(self._of(room_id).state(timestamp=self._clock.time()))

    def come(self, session: Session, room: Room[Session]) -> bool:
        """Count the session's user as present; False where presence is not kept or nobody is known."""
        if not room.rules.presence or session.principal is None:
            return False
        presence, user_id = self._of(room.room_id), session.principal.user_id
        presence.join(user_id, session.principal.username, timestamp=self._clock.time())
        self._count(room.room_id, presence.member(user_id), 1)
        self._tell(room.room_id, self._clock.monotonic())
        return True

    def go(self, session: Session, room: Room[Session]) -> None:
        """Count one connection of the user less; the grace period begins with the last."""
        if session.principal is not None:
            presence, user_id = self._of(room.room_id), session.principal.user_id
            self._count(room.room_id, presence.member(user_id), -1)
            presence.leave(user_id, now=self._clock.monotonic())
            self._restless[room.room_id] = None

    def remote(self, room_id: str, member: Member, present: bool) -> None:
        """Count another node as one more connection of a user, or as one less."""
        presence = self._of(room_id)
        if present:
            presence.join(member.user_id, member.username, timestamp=member.joined_at)
            self._tell(room_id, self._clock.monotonic())
        else:
            presence.leave(member.user_id, now=self._clock.monotonic())
            self._restless[room_id] = None

    def watch(self, session: Session, room: Room[Session], watch: bool) -> None:
        """Tell the session who comes and goes, or stop telling it."""
        if watch:
            self._watchers.setdefault(room.room_id, {})[session] = None
            return
        watchers = self._watchers.get(room.room_id)
        if watchers is not None:
            watchers.pop(session, None)
            if not watchers:
                del self._watchers[room.room_id]

    def forget(self, room_id: str) -> None:
        """The room is gone."""
        self._presence.pop(room_id, None)

    def tick(self, now: float) -> None:
        """Tell what is due; called about twice a second."""
        for room_id in list(self._restless):
            self._tell(room_id, now)

    def _count(self, room_id: str, member: Member | None, change: int) -> None:
        """Tell other nodes of a user's first and last connection here."""
        if self.on_local is None or member is None:
            return
        counts = self._local.setdefault(room_id, {})
        count = counts[member.user_id] = counts.get(member.user_id, 0) + change
        if count <= 0:
            del counts[member.user_id]
            if not counts:
                del self._local[room_id]
        if count == max(0, change):
            self.on_local(room_id, member, change > 0)

    def _of(self, room_id: str) -> Presence:
        presence = self._presence.get(room_id)
        if presence is None:
            presence = self._presence[room_id] = Presence(room_id)
        return presence

    def _tell(self, room_id: str, now: float) -> None:
        presence = self._of(room_id)
        events = [protocol.encode(event) for event in presence.take(now=now, timestamp=self._clock.time())]
        if events:
            self._push(self._watchers.get(room_id, {}), events)
        if presence.restless:
            self._restless[room_id] = None
            return
        self._restless.pop(room_id, None)
        if not len(presence):
            del self._presence[room_id]
