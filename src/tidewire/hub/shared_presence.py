"""Presence across nodes: what this node's members do is told to the others, and theirs counts here.

A user with connections on several nodes is present once; to presence, each other node is one more connection. Changes
go over the room's channel at once, and are written down for whoever comes later; every few seconds what was written is
refreshed and compared: a lost change is found, a dead node's members leave. It must not know rooms' messages.
Source: contract.md section 5, "Presence"; reliability.md bar R10 (ghosts <= 30 s).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

import msgspec
import structlog

from tidewire.bus.base import Bus
from tidewire.bus.room_log import channel_of
from tidewire.bus.room_members import REFRESH_EVERY_S, RoomMembers
from tidewire.core.clock import Clock
from tidewire.core.errors import BusError
from tidewire.core.protocol import Member
from tidewire.core.unreadable import UNREADABLE
from tidewire.hub.attendance import Attendance

_log = structlog.get_logger(__name__)

# How a change of who is present begins on a room's channel.
PRESENCE = b"@"


class Change(msgspec.Struct, frozen=True, array_like=True):
    """A user has come to a node, or left it."""

    node: str
    member: Member
    present: bool


_decode = msgspec.json.Decoder(Change).decode
_member = msgspec.json.Decoder(Member).decode


@dataclass(slots=True)
class _Room:
    """One room: our members, those of other nodes, and which of ours have not been written down yet."""

    own: dict[int, Member] = field(default_factory=dict)
    others: dict[str, dict[int, Member]] = field(default_factory=dict)
    dirty: dict[int, Member] = field(default_factory=dict)
    busy: bool = False


class SharedPresence:
    """See the module's text.

    Args:
        node: This process's name; no other life of it had the same.
        spawn: Runs a coroutine that handles its own errors.
    """

    def __init__(
        self,
        attendance: Attendance,
        members: RoomMembers,
        bus: Bus,
        clock: Clock,
        spawn: Callable[[Coroutine[None, None, None], str], None],
        node: str,
    ) -> None:
        self.node = node
        self._attendance = attendance
        self._members = members
        self._bus = bus
        self._clock = clock
        self._spawn = spawn
        self._rooms: dict[str, _Room] = {}
        self._refresh_at = 0.0
        self.corrected = 0
        self.malformed = 0
        attendance.on_local = self._changed

    def receive(self, room_id: str, payload: bytes) -> None:
        """Take a change of another node from the room's channel, without its first byte."""
        try:
            change = _decode(payload)
        except UNREADABLE:
            self.malformed += 1
            return
        if change.node != self.node:
            self._apply(room_id, change.node, change.member, change.present)

    async def load(self, room_id: str) -> None:
        """Find out who is in the room on other nodes. Raises BusError."""
        room = self._rooms.setdefault(room_id, _Room())
        attendance = await self._members.refresh(room_id, self.node, ())
        await self._compare(room_id, room, dict.fromkeys(attendance.counts, -1))

    def leave(self, room_id: str) -> None:
        """The room is not followed any more; its others are forgotten without a word."""
        room = self._rooms.get(room_id)
        if room is not None:
            room.others.clear()
            if not room.own and not room.dirty:
                del self._rooms[room_id]

    def tick(self, now: float) -> None:
        """Write down what has changed; now and then refresh and compare everything."""
        refresh = now >= self._refresh_at
        if refresh:
            self._refresh_at = now + REFRESH_EVERY_S
        for room_id, room in list(self._rooms.items()):
            if room.dirty or (refresh and (room.own or room.others)):
                self._keep_soon(room_id, room, compare=refresh)

    def statistics(self) -> dict[str, int]:
        """Return counters, and how many members of other nodes are known."""
        return {
            "rooms": len(self._rooms),
            "remote_members": sum(len(users) for room in self._rooms.values() for users in room.others.values()),
            "corrected": self.corrected,
            "malformed": self.malformed,
        }

    # ---- inside

    def _changed(self, room_id: str, member: Member, present: bool) -> None:
        """Somebody's first connection here has come, or the last has gone."""
        room = self._rooms.setdefault(room_id, _Room())
        if present:
            room.own[member.user_id] = member
        else:
            room.own.pop(member.user_id, None)
        room.dirty[member.user_id] = member
        self._keep_soon(room_id, room, compare=False)

    def _keep_soon(self, room_id: str, room: _Room, *, compare: bool) -> None:
        # While the bus is away nothing could be told; the next tick looks again.
        if not room.busy and self._bus.reaches(channel_of(room_id)):
            room.busy = True
            self._spawn(self._keep(room_id, room, compare), "presence")

    async def _keep(self, room_id: str, room: _Room, compare: bool) -> None:
        dirty: dict[int, Member] = {}
        try:
            while room.dirty:
                dirty, room.dirty = room.dirty, {}
                await self._write(room_id, room, dirty)
                dirty = {}
            if compare:
                known = [*room.others]
                attendance = await self._members.refresh(room_id, self.node, known)
                if room.own and not attendance.kept:
                    room.dirty.update(room.own)
                await self._compare(room_id, room, attendance.counts)
        except BusError as error:
            room.dirty = {**dirty, **room.dirty}
            _log.warning("presence_not_kept", room_id=room_id, **error.describe())
        finally:
            room.busy = False
            if not room.own and not room.others and not room.dirty:
                self._rooms.pop(room_id, None)

    async def _write(self, room_id: str, room: _Room, dirty: Mapping[int, Member]) -> None:
        """Write changes down, then tell them. In this order: whoever listens first and reads then misses nothing."""
        came = {str(user): msgspec.json.encode(room.own[user]) for user in dirty if user in room.own}
        await self._members.write(room_id, self.node, came, [str(user) for user in dirty if user not in room.own])
        told = [Change(self.node, member, user in room.own) for user, member in dirty.items()]
        self._bus.publish(channel_of(room_id), [PRESENCE + msgspec.json.encode(change) for change in told])

    async def _compare(self, room_id: str, room: _Room, living: Mapping[str, int]) -> None:
        """Make our picture of the other nodes what they have written down."""
        for node in [name for name in room.others if name not in living]:
            for member in list(room.others[node].values()):
                self._apply(room_id, node, member, present=False)
        for node, count in living.items():
            if count == len(room.others.get(node, ())):
                continue
            written = {}
            for value in (await self._members.read(room_id, node)).values():
                try:
                    member = _member(value)
                except UNREADABLE:
                    self.malformed += 1
                    continue
                written[member.user_id] = member
            for user_id, member in list(room.others.get(node, {}).items()):
                if user_id not in written:
                    self.corrected += 1
                    self._apply(room_id, node, member, present=False)
            for member in written.values():
                self._apply(room_id, node, member, present=True)

    def _apply(self, room_id: str, node: str, member: Member, present: bool) -> None:
        room = self._rooms.setdefault(room_id, _Room())
        users = room.others.setdefault(node, {})
        if present == (member.user_id in users):
            return
        if present:
            users[member.user_id] = member
        else:
            del users[member.user_id]
            if not users:
                del room.others[node]
        self._attendance.remote(room_id, member, present)
