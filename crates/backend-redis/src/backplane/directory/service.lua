-- A service whose leases that passed have ended. What follows is one of the other files.
-- KEYS: its epoch and last token; its nodes by when their leases end; its nodes.
-- A node is its incarnation and its token, of twenty digits each, its state, its weight of ten digits,
-- and what does not change.
local known, ends, nodes = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local epoch = tonumber(redis.call('HGET', known, 'epoch') or '0')

-- Epochs and tokens are larger than all before them, also than those that Redis may have lost.
local function turn()
  epoch = math.max(epoch + 1, now)
  redis.call('HSET', known, 'epoch', string.format('%.0f', epoch))
end

local function is_held(name, token)
  local node = redis.call('HGET', nodes, name)
  return node and string.sub(node, 21, 40) == token and node
end

local ended = redis.call('ZRANGEBYSCORE', ends, '-inf', now)
for _, name in ipairs(ended) do
  redis.call('ZREM', ends, name)
  redis.call('HDEL', nodes, name)
end
if #ended > 0 then
  turn()
end

