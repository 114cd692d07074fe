-- ARGV: the node, its token, the length of the lease. Answers whether it was held.
local node = is_held(ARGV[1], ARGV[2])
if not node then
  return 0
end
redis.call('ZREM', ends, '') -- a write: so that full memory refuses none after it
redis.call('ZADD', ends, 'GT', now + tonumber(ARGV[3]), ARGV[1])
redis.call('HSET', nodes, ARGV[1], string.sub(node, 1, 40) .. wall)
return 1
