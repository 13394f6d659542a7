"""Members of rooms on Redis or Valkey: a hash per room and node that expires with its node, and a list of the nodes.

It must not know what members are. Source: Redis manual, "HSET", "ZADD", "PEXPIRE".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, cast

from tidewire.bus.redis_commands import Ask
from tidewire.bus.redis_script import Script
from tidewire.bus.room_members import LIFE_S, Attendance
from tidewire.bus.wire import Refusal
from tidewire.core.errors import BusError

# KEYS 1 the nodes, 2 our members, 3.. other nodes' members. ARGV 1 our name, 2 life in ms.
_REFRESH = Script(
    """#!lua
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life = tonumber(ARGV[2])
local kept = redis.call('PEXPIRE', KEYS[2], life)
if kept == 1 then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - life))
redis.call('PEXPIRE', KEYS[1], life)
local counts = {}
for i = 3, #KEYS do
  counts[i - 2] = redis.call('HLEN', KEYS[i])
end
return {kept, redis.call('ZRANGE', KEYS[1], 0, -1), counts}
"""
)


class Commands(Protocol):
    """Whom to ask: one server, or the shard that has the key."""

    @property
    def ask(self) -> Ask:
        """Ask one question. Raises Refusal or BusError."""
        ...


class RedisMembers:
    """Implements bus.room_members.RoomMembers on the connection of a room log.

    Args:
        life_s: How long what a node wrote stays if the node does not refresh it, seconds of the broker.
    """

    def __init__(self, commands: Commands, *, life_s: float = LIFE_S) -> None:
        self._commands = commands
        self._life_ms = b"%d" % (life_s * 1000)

    async def write(self, room_id: str, node: str, came: Mapping[str, bytes], left: Collection[str]) -> None:
        """Add and remove members of one node. Raises BusError."""
        key = _members(room_id, node)
        try:
            if left:
                await self._commands.ask(b"HDEL", key, *(field.encode() for field in left))
            if came:
                pairs = [part for field, value in came.items() for part in (field.encode(), value)]
                await self._commands.ask(b"HSET", key, *pairs)
        except Refusal as refusal:
            raise _refused(room_id, refusal) from refusal
        await self.refresh(room_id, node, ())

    async def refresh(self, room_id: str, node: str, others: Sequence[str]) -> Attendance:
        """Keep what ``node`` wrote, and say who lives. Raises BusError."""
        keys = [_nodes(room_id), _members(room_id, node), *(_members(room_id, other) for other in others)]
        arguments = (b"%d" % len(keys), *keys, node.encode(), self._life_ms)
        try:
            # Short, and asked every few seconds: not worth remembering whether the broker knows it.
            answer = await self._commands.ask(b"EVAL", _REFRESH.source, *arguments)
        except Refusal as refusal:
            raise _refused(room_id, refusal) from refusal
        kept, living, counts = cast(tuple[int, list[bytes], list[int]], answer)
        counted = dict(zip(others, counts, strict=True))
        names = (name.decode() for name in living)
        return Attendance(kept == 1, {name: counted.get(name, -1) for name in names if name != node})

    async def read(self, room_id: str, node: str) -> Mapping[str, bytes]:
        """Return the members that a node has written. Raises BusError."""
        try:
            flat = cast(list[bytes], await self._commands.ask(b"HGETALL", _members(room_id, node)))
        except Refusal as refusal:
            raise _refused(room_id, refusal) from refusal
        return {field.decode(): value for field, value in zip(flat[::2], flat[1::2], strict=True)}


def _nodes(room_id: str) -> bytes:
    return b"tidewire:members:{%b}:nodes" % room_id.encode()


def _members(room_id: str, node: str) -> bytes:
    return b"tidewire:members:{%b}:of:%b" % (room_id.encode(), node.encode())


def _refused(room_id: str, refusal: Refusal) -> BusError:
    return BusError(
        f"The Redis server refused what concerns the members of {room_id}: {str(refusal)[:200]}",
        required_action="Tell the operator: its memory, its disk or the permissions of the Redis user need attention.",
        will_not="Who is present may be out of date until it works again; it is tried every few seconds.",
    )
