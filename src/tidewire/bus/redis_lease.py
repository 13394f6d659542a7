"""Keeps a lease in Redis, the feed's or another, by scripts; in a cluster, where it is sent.

It must not know what is leased.

Numbers rise for ever, even when the server loses its data: a new one is the server's time in milliseconds, or one more
than the last, whichever is greater. A server clock that was set back *and* lost data could repeat one.
"""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from tidewire.bus.address import parse_address
from tidewire.bus.cluster_map import Node, redirect
from tidewire.bus.lease import LeaseAnswer
from tidewire.bus.redis_wire import RedisWire, words
from tidewire.bus.wire import BrokerLimits, Refusal, encode_command
from tidewire.core.errors import BusError

FEED = "feed"
# One hash tag, so that both keys live on one node of a cluster.
_KEYS = ("tidewire:{{{}}}:lease", "tidewire:{{{}}}:fence")
KEY, FENCE_KEY = (each.format(FEED) for each in _KEYS)
# Well below the holder's own margin: a question without an answer must not make it late.
TIMEOUT_S = 1.0
# Redirections of one question.
_HOPS = 3

# KEYS lease, fence; ARGV owner, milliseconds to live. Answers {mine, fence, holder, milliseconds left of another's}.
_ASK = b"""
local held = redis.call('GET', KEYS[1])
if held then
  local fence, holder = string.match(held, '^(%d+) (.*)$')
  if holder == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {1, fence, holder, 0}
  end
  return {0, fence or '0', holder or held, redis.call('PTTL', KEYS[1])}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local fence = string.format('%.0f', math.max(now, (tonumber(redis.call('GET', KEYS[2])) or 0) + 1))
redis.call('SET', KEYS[2], fence)
redis.call('SET', KEYS[1], fence .. ' ' .. ARGV[1], 'PX', ARGV[2])
return {1, fence, ARGV[1], 0}
"""
_RELEASE = b"""
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (.*)$') == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {0, '0', '', 0}
"""
_LOOK = b"""
local fence, holder = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (.*)$')
return {0, redis.call('GET', KEYS[2]) or fence or '0', holder or '', 0}
"""


class RedisLease:
    """Implements bus.lease_keeper.LeaseStore. One connection; after any failure it is thrown away.

    Args:
        url: As for RedisBus. Raises SettingsError if it cannot be read.
        owner: Names this process among all that ask; nobody else may have the same.
        ttl_s: How long the lease lives without being renewed.
        name: Which lease; a word for keys and people.
        timeout_s: How long an answer may take. Who holds a lease needs it soon, who only looks may wait.
    """

    def __init__(self, url: str, owner: str, *, ttl_s: float, name: str = FEED, timeout_s: float = TIMEOUT_S) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._keys = [each.format(name).encode() for each in _KEYS]
        self._address = parse_address(url)
        self._seeds = [self._address, *(self._address.at(*seed) for seed in self._address.seeds)]
        self._failures = 0
        self._owner = owner.encode()
        self._ttl_ms = b"%d" % int(ttl_s * 1000)
        self._wire: RedisWire | None = None

    async def ask(self) -> LeaseAnswer:
        """Take the lease if it is free, renew it if it is ours. Raises BusError."""
        return await self._run(_ASK, self._owner, self._ttl_ms)

    async def release(self) -> None:
        """Give it back if it is ours. Raises BusError."""
        await self._run(_RELEASE, self._owner)

    async def look(self) -> LeaseAnswer:
        """Return who holds it, and the highest number there has been, without asking for it. Raises BusError."""
        return await self._run(_LOOK)

    async def close(self) -> None:
        """Drop the connection. Idempotent."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.discard()

    async def _run(self, script: bytes, *arguments: bytes) -> LeaseAnswer:
        command = encode_command(b"EVAL", script, b"2", *self._keys, *arguments)
        try:
            async with asyncio.timeout(self._timeout_s):
                return _read(await self._followed(command))
        except BaseException as error:
            # Whatever it was, an answer may still be on its way: it must not meet the next question.
            await self.close()
            # Of a cluster another server may know who has the lease now.
            self._failures += 1
            self._address = self._seeds[self._failures % len(self._seeds)]
            if isinstance(error, RedisError | OSError | Refusal):
                raise self._failed(error) from error
            raise

    async def _followed(self, command: bytes) -> object:
        """Ask, and ask where a shard of a cluster sends us: it has done nothing. Raises Refusal."""
        asking, hops = False, 0
        while True:
            try:
                return await self._exchange(command, asking=asking)
            except Refusal as refusal:
                where = redirect(str(refusal), Node(self._address.host, self._address.port))
                if where is None or where.node is None or hops == _HOPS:
                    raise
                await self.close()
                self._address = self._address.at(*where.node)
                asking, hops = where.kind == "ASK", hops + 1

    async def _exchange(self, command: bytes, *, asking: bool) -> object:
        if self._wire is None:
            self._wire = RedisWire(self._address, BrokerLimits())
            await self._wire.connect()
        if asking:
            await self._wire.write(encode_command(b"ASKING"))
            await self._wire.read()
        await self._wire.write(command)
        return await self._wire.read()

    def _failed(self, error: Exception) -> BusError:
        action = "Check that the Redis or Valkey server runs and is reachable."
        if str(error).startswith(("READONLY", "MISCONF", "OOM")):
            action = "Find out why the server takes no writes: it is a replica now, or out of disk or memory."
        elif isinstance(error, Refusal):
            action = "Allow the Redis user +eval +get +set +del +pexpire +pttl +time on ~tidewire:* (ACL SETUSER)."
        return BusError(
            f"The lease for {self._name} at {self._address} cannot be asked for: {words(error)}.",
            required_action=action,
            will_not="No process does what only its holder may.",
        )


def _read(answer: object) -> LeaseAnswer:
    match answer:
        case [int(mine), bytes(fence), bytes(holder), int(left_ms)]:
            # A millisecond more, because the key goes away at the end of its last one; negative without a time to live.
            left_s = (left_ms + 1) / 1000 if left_ms > 0 else 0.0
            return LeaseAnswer(
                mine=mine == 1, fence=int(fence), holder=holder.decode("utf-8", "replace"), left_s=left_s
            )
    raise BusError(
        f"The Redis server answered something else than was asked: {answer!r:.100}.",
        required_action="Use Redis 7 or Valkey 8, or newer.",
        will_not="No process does what only the lease's holder may.",
    )
