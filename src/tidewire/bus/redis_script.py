"""The Lua scripts of the room log: what must happen in one step on the broker. It must not know who calls them.

Every script begins with ``_OPEN``, which decides whether the room's epoch still stands. Keys of one room carry its name
in braces, so that they are in one slot of a cluster.

The head of a room is a hash: ``e`` epoch, ``o`` newest offset, ``s`` the server process that confirmed it (run_id),
``m`` milliseconds of the newest entry, ``c`` bytes ever appended, ``b`` bytes appended before the oldest kept entry (a
lower bound, made exact when it matters). An entry's id is ``milliseconds-offset``: trimmed by age without reading it.
The first lines are flags: appending is refused as a whole when memory is short, reading never is.
Source: Redis manual, "Scripting with Lua", "Lua API reference" (script flags), "XADD", "XTRIM".
"""

from __future__ import annotations

import hashlib

# ARGV 1 server, 2 "1" if confirmed writes survive a kill, 3 a fresh epoch, 4-5 known epoch and offset, 6 head's life.
_OPEN = """
local head, stream = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local h = redis.call('HMGET', head, 'e', 'o', 's', 'm', 'c', 'b')
local epoch, offset, lost = h[1], tonumber(h[2] or '0'), 0
if epoch then
  if h[3] ~= ARGV[1] and ARGV[2] ~= '1' then
    lost = 1
  elseif epoch == ARGV[4] and offset < tonumber(ARGV[5]) then
    lost = 1
  end
elseif ARGV[4] ~= '' then
  lost = 1
end
if not epoch or lost == 1 then
  epoch, offset = ARGV[3], 0
  redis.call('DEL', head, stream)
  redis.call('HSET', head, 'e', epoch, 'o', 0, 's', ARGV[1])
  h = {}
elseif h[3] ~= ARGV[1] then
  redis.call('HSET', head, 's', ARGV[1])
end
"""

# KEYS 3: the idempotency key, if there is one. ARGV 7 payload, 8 messages, 9 age, 10 bytes, 11 channel, 12 key's life.
APPEND = (
    "#!lua\n"
    + _OPEN
    + """
if KEYS[3] then
  local before = redis.call('GET', KEYS[3])
  if before and string.sub(before, 1, #epoch + 1) == epoch .. ' ' then
    -- A write, so that a WAIT after it waits for what it answers.
    redis.call('PEXPIRE', KEYS[3], ARGV[12])
    return {epoch, tonumber(string.sub(before, #epoch + 2)), 1, lost}
  end
end
offset = offset + 1
local at = math.max(now, tonumber(h[4] or '0'))
local total = tonumber(h[5] or '0') + #ARGV[7]
local before_oldest = tonumber(h[6] or '0')
if tonumber(ARGV[8]) > 0 then
  redis.call('XADD', stream, 'MAXLEN', '=', ARGV[8], string.format('%.0f-%d', at, offset),
    'p', ARGV[7], 'c', string.format('%.0f', total))
  redis.call('XTRIM', stream, 'MINID', '=', string.format('%.0f-0', at - tonumber(ARGV[9])))
  local limit = tonumber(ARGV[10])
  while total - before_oldest > limit do
    local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not oldest then
      before_oldest = total
      break
    end
    before_oldest = tonumber(oldest[2][4]) - #oldest[2][2]
    if total - before_oldest > limit then
      redis.call('XDEL', stream, oldest[1])
      before_oldest = tonumber(oldest[2][4])
    end
  end
  redis.call('PEXPIRE', stream, ARGV[9])
end
redis.call('PEXPIRE', head, ARGV[6])
redis.call('HSET', head, 'o', offset, 'm', string.format('%.0f', at), 'c', string.format('%.0f', total),
  'b', string.format('%.0f', before_oldest))
if KEYS[3] then
  redis.call('SET', KEYS[3], epoch .. ' ' .. offset, 'PX', ARGV[12])
end
redis.call('PUBLISH', ARGV[11], '=' .. epoch .. ' ' .. offset .. ' ' .. ARGV[7])
return {epoch, offset, 0, lost}
"""
)

# On a shard of a cluster the announcement goes to the shard's own listeners, not to every server.
APPEND_SHARDED = APPEND.replace("redis.call('PUBLISH'", "redis.call('SPUBLISH'")

# ARGV 4-5 are also the place to read from (empty epoch: everything), 7 age.
READ = (
    "#!lua flags=allow-oom\n"
    + _OPEN
    + """
-- A room that was only looked at (nodes look at those they follow every 10 s) is soon forgotten.
redis.call('PEXPIRE', head, offset == 0 and 60000 or ARGV[6])
redis.call('XTRIM', stream, 'MINID', '=', string.format('%.0f-0', now - tonumber(ARGV[7])))
local entries
if epoch == ARGV[4] then
  local missed = offset - tonumber(ARGV[5])
  entries = missed > 0 and redis.call('XREVRANGE', stream, '+', '-', 'COUNT', missed) or {}
else
  entries = redis.call('XREVRANGE', stream, '+', '-')
end
return {epoch, offset, string.format('%.0f', now), entries, lost}
"""
)


class Script:
    """A script and the digest by which the broker knows it."""

    __slots__ = ("digest", "source")

    def __init__(self, source: str) -> None:
        self.source = source.encode()
        # The broker's name for it, not a safeguard.
        self.digest = hashlib.sha1(self.source, usedforsecurity=False).hexdigest().encode()
