"""Numbers of connections on Redis or Valkey: a hash per user, a field per node. It must not know what they count.

Source: Redis manual, "HSET", "HVALS", "EVAL" (a script runs as a whole).
"""

from __future__ import annotations

from tidewire.bus.redis_members import Commands
from tidewire.bus.redis_script import Script
from tidewire.bus.user_counts import LIFE_S
from tidewire.bus.wire import Refusal
from tidewire.core.errors import BusError

# ARGV 1 our name, 2 our number, 3 the limit, 4 life in ms.
_PUT = Script(
    """#!lua
local sum = tonumber(ARGV[2])
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i] ~= ARGV[1] then
    sum = sum + tonumber(fields[i + 1])
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return sum <= tonumber(ARGV[3]) and 1 or 0
"""
)
_LIFE_MS = b"%d" % (LIFE_S * 1000)


class RedisUserCounts:
    """Implements bus.user_counts.UserCounts on the connection of a room log."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def put(self, user_id: int, node: str, count: int, limit: int) -> bool:
        """Write ``node``'s number and say whether all together are at most ``limit``. Raises BusError."""
        arguments = (node.encode(), b"%d" % count, b"%d" % limit, _LIFE_MS)
        return await self._ask(b"EVAL", _PUT.source, b"1", _key(user_id), *arguments) == 1

    async def write(self, user_id: int, node: str, count: int) -> None:
        """Write ``node``'s number. Raises BusError."""
        key = _key(user_id)
        if count:
            await self._ask(b"HSET", key, node.encode(), b"%d" % count)
            await self._ask(b"PEXPIRE", key, _LIFE_MS)
        else:
            await self._ask(b"HDEL", key, node.encode())

    async def _ask(self, *parts: bytes) -> object:
        try:
            return await self._commands.ask(*parts)
        except Refusal as refusal:
            raise BusError(
                f"The Redis server refused to count a user's connections: {str(refusal)[:200]}",
                required_action="Tell the operator: its memory, disk or the Redis user's permissions need attention.",
                will_not="Tidewire will not let anybody in uncounted.",
            ) from refusal


def _key(user_id: int) -> bytes:
    return b"tidewire:user:{%d}:connections" % user_id
