-- ARGV: the node, its incarnation, the length of the lease, and how many nodes there may be.
-- Answers { 'held', token }, { 'superseded', incarnation } or { 'full' }.
local name, incarnation, ttl, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local current = redis.call('HGET', nodes, name)
if current and string.sub(current, 1, 20) > incarnation then
  return { 'superseded', string.sub(current, 1, 20) }
end
if not current and redis.call('HLEN', nodes) >= most then
  return { 'full' }
end
local token = next_number('token')
if current then
  finish(name)
end
redis.call('HSET', nodes, name, incarnation .. token .. wall)
redis.call('ZADD', ends, now + ttl, name)
next_number('epoch')
return { 'held', token }
