-- Leases the free node whose mark lies furthest back.
-- KEYS: what is known of the nodes, those that are held by when their leases end, those that were held
-- before by their marks.
-- ARGV: the number of nodes, the length of the lease in microseconds, the mark in twenty digits.
-- Answers { node, token, floor } or { when the first lease ends, in microseconds from now }.
local known, held, free = KEYS[1], KEYS[2], KEYS[3]
local count, ttl, mark = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local ended = redis.call('ZRANGEBYSCORE', held, '-inf', now, 'LIMIT', 0, 100)
for _, node in ipairs(ended) do
  redis.call('ZREM', held, node)
  redis.call('ZADD', free, redis.call('HGET', known, 'mark:' .. node), node)
end

local node
local leased = tonumber(redis.call('HGET', known, 'leased') or '0')
if leased < count then
  node = tostring(leased)
  redis.call('HSET', known, 'leased', leased + 1)
else
  -- Those beyond the count are of when there were more.
  local beyond = {}
  repeat
    local mark
    node, mark = unpack(redis.call('ZPOPMIN', free))
    local is_beyond = node and tonumber(node) >= count
    if is_beyond then
      beyond[#beyond + 1] = { mark, node }
    end
  until not is_beyond
  for _, one in ipairs(beyond) do
    redis.call('ZADD', free, one[1], one[2])
  end
end
if not node then
  local first = redis.call('ZRANGE', held, 0, 0, 'WITHSCORES')
  return { first[2] and string.format('%.0f', math.max(first[2] - now, 0)) or '' }
end

-- Also after what Redis may have lost, a token is larger than those before.
local token = math.max(tonumber(redis.call('HGET', known, 'token') or '0') + 1, now)
token = string.format('%.0f', token)
local floor = redis.call('HGET', known, 'mark:' .. node)
if floor and floor > mark then
  mark = floor
end
redis.call('HSET', known, 'token', token, 'token:' .. node, token, 'mark:' .. node, mark)
redis.call('ZADD', held, now + ttl, node)
return { node, token, floor or '' }
