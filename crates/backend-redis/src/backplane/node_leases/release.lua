-- Gives a node back, with the mark that its holder vows for.
-- KEYS: as in acquire.lua. ARGV: the node, its token, the mark.
local known, held, free = KEYS[1], KEYS[2], KEYS[3]
local node, token, mark = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', known, 'token:' .. node) ~= token then
  return 0
end
redis.call('HDEL', known, '') -- a write: so that full memory refuses none after it
redis.call('HSET', known, 'token:' .. node, '', 'mark:' .. node, mark)
redis.call('ZREM', held, node)
redis.call('ZADD', free, mark, node)
return 1
