"""Who is in a room, by user. Pure: time is an argument.

A member is a user, however many connections; leaving is held back for a grace period, so that a reload is no event. In
a large room changes are collected and sent as one difference. It must not know connections or how events are sent.
Overflow policy: the table is bounded by the room's members; a list on the wire by ``LISTED_MEMBERS``.
Source: contract.md section 5, "Presence".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from tidewire.core.protocol import Member, RoomEvent

# From here on single events would be a flood: 10,000 members that come in a minute are 10,000 x 10,000 messages.
LISTED_MEMBERS = 200
DIFF_INTERVAL_S = 1.0
GRACE_S = 10.0


@dataclass(slots=True)
class _Entry:
    member: Member
    connections: int
    leaving_at: float | None = None


class Presence:
    """The members of one room.

    Args:
        grace_s: How long somebody without a connection still counts as present.
    """

    __slots__ = ("_entries", "_grace_s", "_joined", "_last_diff", "_leaving", "_left", "_room_id")

    def __init__(self, room_id: str, *, grace_s: float = GRACE_S) -> None:
        self._room_id = room_id
        self._grace_s = grace_s
        self._entries: dict[int, _Entry] = {}
        self._leaving: dict[int, None] = {}
        self._joined: dict[int, Member] = {}
        self._left: dict[int, Member] = {}
        self._last_diff = float("-inf")

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def restless(self) -> bool:
        """Whether ``take`` may have something to say later without another join or leave."""
        return bool(self._leaving or self._joined or self._left)

    def member(self, user_id: int) -> Member | None:
        """Return a user who counts as present."""
        entry = self._entries.get(user_id)
        return None if entry is None else entry.member

    def join(self, user_id: int, username: str, *, timestamp: float) -> None:
        """Count one more connection of a user. ``timestamp``: Unix seconds."""
        entry = self._entries.get(user_id)
        if entry is not None:
            entry.connections += 1
            entry.leaving_at = None
            self._leaving.pop(user_id, None)
            return
        member = Member(user_id=user_id, username=username, joined_at=timestamp)
        self._entries[user_id] = _Entry(member, 1)
        # Somebody whose leaving has not been told yet and who is back is news to nobody, but joined_at has changed.
        self._joined[user_id] = member

    def leave(self, user_id: int, *, now: float) -> None:
        """Count one connection less; the last one starts the grace period. ``now``: monotonic seconds."""
        entry = self._entries.get(user_id)
        if entry is None or entry.connections == 0:
            return
        entry.connections -= 1
        if entry.connections == 0:
            entry.leaving_at = now + self._grace_s
            self._leaving[user_id] = None

    def take(self, *, now: float, timestamp: float) -> list[RoomEvent]:
        """Return the events that are due at ``now``, and consider them told."""
        self._expire(now)
        if not self._joined and not self._left:
            return []
        if len(self._entries) <= LISTED_MEMBERS:
            events = self._singles(timestamp)
        elif now - self._last_diff < DIFF_INTERVAL_S:
            return []
        else:
            self._last_diff = now
            events = [
                RoomEvent(
                    room_id=self._room_id,
                    event="presence_diff",
                    timestamp=timestamp,
                    count=len(self._entries),
                    joined=list(itertools.islice(self._joined.values(), LISTED_MEMBERS)),
                    left=list(itertools.islice(self._left.values(), LISTED_MEMBERS)),
                )
            ]
        self._joined.clear()
        self._left.clear()
        return events

    def state(self, *, timestamp: float) -> RoomEvent:
        """Return who is present now, the first ``LISTED_MEMBERS`` to have come if they are more."""
        listed = [entry.member for entry in itertools.islice(self._entries.values(), LISTED_MEMBERS)]
        return RoomEvent(
            room_id=self._room_id,
            event="presence_state",
            timestamp=timestamp,
            count=len(self._entries),
            members=listed,
            complete=len(listed) == len(self._entries),
        )

    def _expire(self, now: float) -> None:
        # Insertion order is expiry order: the grace period is the same for all.
        for user_id in list(self._leaving):
            entry = self._entries[user_id]
            if entry.leaving_at is None or entry.leaving_at > now:
                break
            del self._leaving[user_id], self._entries[user_id]
            if self._joined.pop(user_id, None) is None:
                self._left[user_id] = entry.member

    def _singles(self, timestamp: float) -> list[RoomEvent]:
        events: list[RoomEvent] = []
        count = len(self._entries) - len(self._joined) + len(self._left)
        for member in self._left.values():
            count -= 1
            events.append(self._event("member_left", member, count, timestamp))
        for member in self._joined.values():
            count += 1
            events.append(self._event("member_joined", member, count, timestamp))
        return events

    def _event(self, event: str, member: Member, count: int, timestamp: float) -> RoomEvent:
        return RoomEvent(
            room_id=self._room_id,
            event="member_left" if event == "member_left" else "member_joined",
            timestamp=timestamp,
            count=count,
            member=member,
        )
