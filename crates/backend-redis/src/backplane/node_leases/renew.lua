-- Prolongs a lease.
-- KEYS: as in acquire.lua. ARGV: the node, its token, the length of the lease in microseconds, the mark.
-- Answers whether the lease was held.
local known, held = KEYS[1], KEYS[2]
local node, token, ttl, mark = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local ends = redis.call('ZSCORE', held, node)
if not ends or tonumber(ends) <= now or redis.call('HGET', known, 'token:' .. node) ~= token then
  return 0
end
redis.call('HDEL', known, '') -- a write: so that full memory refuses none after it
if mark > redis.call('HGET', known, 'mark:' .. node) then
  redis.call('HSET', known, 'mark:' .. node, mark)
end
redis.call('ZADD', held, now + ttl, node)
return 1
