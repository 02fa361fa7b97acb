"""The Lua scripts. Each runs on the server without anything in between, in one round trip.

They are sent whole (``EVAL``), not by their digest: that costs no measurable time, and a server that was restarted
needs no second round trip.

What makes leases of before a restart worthless, an old snapshot notwithstanding, is the server's replication id: a
primary makes another one whenever it starts, whenever it becomes one, and also when its first replica comes. It is the
server's part of the cache's identity, and read by each script: a connection may live on when its server is no
primary any more.

A server that goes on running and takes up an old state (``DEBUG RELOAD NOSAVE``, ``RESTORE``) keeps that id. It is
given away by how it holds a generation: a string that was made by ``SETRANGE`` has the encoding ``raw`` for as long as
it lives; one that came from a dump has ``embstr``, as every short string, and is as good as missing.
"""

from typing import Final

_PRIMARY: Final = """
local info = redis.call('INFO', 'replication')
local primary = string.match(info, 'role:master') and string.match(info, 'master_replid:(%x+)')
if not primary then return redis.error_reply('NOTPRIMARY this server is a replica') end
"""

_GENERATION: Final = """
local generation = redis.pcall('GET', KEYS[1])
if type(generation) ~= 'string' or #generation ~= 16 then generation = nil end
if generation and string.sub(generation, 1, 1) == 'R' and redis.pcall('OBJECT', 'ENCODING', KEYS[1]) ~= 'raw' then
  generation = nil
end
"""

CACHE_GET: Final = f"""
{_PRIMARY}{_GENERATION}
if not generation then
  generation = 'R' .. ARGV[1]
  if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('UNLINK', KEYS[1]) end
  redis.call('SETRANGE', KEYS[1], 0, generation)
  if redis.pcall('OBJECT', 'ENCODING', KEYS[1]) ~= 'raw' then
    generation = 'N' .. ARGV[1]
    redis.call('SET', KEYS[1], generation)
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {{primary .. generation}}
end
local tag = ARGV[3] .. primary .. generation
local entry = redis.pcall('GET', KEYS[2])
if type(entry) == 'string' and string.sub(entry, 1, #tag) == tag then
  return {{primary .. generation, string.sub(entry, #tag + 1)}}
end
return {{primary .. generation}}
"""
"""KEYS: generation, entry. ARGV: 15 random bytes for a generation, its time to live in ms, the entry's format.

Returns the lease, and the value where there is one. A key that holds anything unknown counts as missing. The first
character of a generation says whether this server shows that it came from a dump (R), or not (N).
"""

CACHE_FILL: Final = f"""
{_PRIMARY}{_GENERATION}
if not generation or primary .. generation ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
"""KEYS: generation, entry. ARGV: lease, entry, its time to live in ms, the generation's.

Returns whether the lease counted.
"""

CACHE_INVALIDATE: Final = f"""
{_PRIMARY}
for first = 1, #KEYS, 1000 do
  redis.call('UNLINK', unpack(KEYS, first, math.min(first + 999, #KEYS)))
end
return primary
"""
"""KEYS: generations, of any type. Works on a server that is full, and fails on one that takes no writes.

Returns the server's part of the cache's identity.
"""

_WINDOW: Final = """
local left = redis.call('PTTL', KEYS[1])
local stored = redis.pcall('HMGET', KEYS[1], 'hits', 'changes', 'name')
local hits, changes, name
if type(stored) == 'table' and not stored.err and stored[1] and stored[2] and stored[3] and left > 0 then
  hits = string.match(stored[1], '^%d+$') and tonumber(stored[1])
  changes = string.match(stored[2], '^%d+$') and tonumber(stored[2])
  name = string.match(stored[3], '^%x+$')
end
local known = hits and changes and name
"""

LIMITER_HIT: Final = f"""
local amount, window = tonumber(ARGV[1]), tonumber(ARGV[2])
{_WINDOW}
if not known or left > window then
  known, hits, changes, name, left = false, 0, 0, ARGV[3], window
end
if hits >= amount then return {{0, 0, left, name, changes}} end
if known then
  redis.call('HINCRBY', KEYS[1], 'hits', 1)
  redis.call('HINCRBY', KEYS[1], 'changes', 1)
else
  -- Of a full server a script may write on once it wrote: nothing is deleted where there is nothing.
  if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DEL', KEYS[1]) end
  redis.call('HSET', KEYS[1], 'hits', 1, 'changes', 1, 'name', name)
  redis.call('PEXPIRE', KEYS[1], window)
end
return {{1, amount - hits - 1, left, name, changes + 1}}
"""
"""KEYS: the window. ARGV: how many hits it allows, its length in ms, a random name for a new window.

Returns whether this one is allowed, how many are left, in how many ms the window ends, its name, and how many changes
it has seen. A key that holds anything unknown counts as missing.
"""

LIMITER_GIVE_BACK: Final = f"""
{_WINDOW}
if not known or name ~= ARGV[1] or hits == 0 then return 0 end
redis.call('HINCRBY', KEYS[1], 'hits', -1)
redis.call('HINCRBY', KEYS[1], 'changes', 1)
return 1
"""
"""KEYS: the window. ARGV: its name.

Returns whether a hit was given back.
"""
