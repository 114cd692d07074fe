-- The nodes that say who is there, once the leases that passed have ended. What follows is one of the other files.
-- KEYS
--   1  hash: the `epoch`, another with each change of the leases, and the last `token`
--   2  sorted set: nodes by when their leases end
--   3  hash, by node: the incarnation and the token, 20 digits each, and when the lease was renewed last
--   4  sorted set: tokens of leases that ended, by when they were renewed last
--   5  hash: on which server each part of the users is known to be, by its replication id, 40 digits, and since when
-- Leases are measured in microseconds; when one was renewed is milliseconds.
local known, ends, nodes, ended, servers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- How many leases that ended are remembered.
local MOST_ENDED = 1000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wall = string.format('%.0f', math.floor(now / 1000))

-- The next number of a kind, above all before it, also those that Redis may have lost.
local function next_number(kind)
  local number = math.max(tonumber(redis.call('HGET', known, kind) or '0') + 1, now)
  number = string.format('%020.0f', number)
  redis.call('HSET', known, kind, number)
  return number
end

local function is_held(name, token)
  local node = redis.call('HGET', nodes, name)
  return node and string.sub(node, 21, 40) == token and node
end

-- Removes come first: after one, full memory refuses nothing.
local function finish(name)
  local node = redis.call('HGET', nodes, name)
  redis.call('HDEL', nodes, name)
  redis.call('ZREM', ends, name)
  if node then
    redis.call('ZADD', ended, string.sub(node, 41), string.sub(node, 21, 40))
    redis.call('ZREMRANGEBYRANK', ended, 0, -MOST_ENDED - 1)
  end
end

local passed = redis.call('ZRANGEBYSCORE', ends, '-inf', now)
for _, name in ipairs(passed) do
  finish(name)
end
if #passed > 0 then
  next_number('epoch')
end

