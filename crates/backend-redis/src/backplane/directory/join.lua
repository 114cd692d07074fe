-- KEYS[4]: the names of all services.
-- ARGV: the service, the node, its incarnation, the rest of it, the length of the lease, and how many
-- nodes and services there may be.
-- Answers { 'member', token }, { 'superseded', incarnation } or { 'full' }.
local service, name, incarnation, rest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local ttl, most_nodes, most_services = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local current = redis.call('HGET', nodes, name)
if current and string.sub(current, 1, 20) > incarnation then
  return { 'superseded', string.sub(current, 1, 20) }
end
if not current and redis.call('HLEN', nodes) >= most_nodes then
  return { 'full' }
end
if redis.call('SISMEMBER', KEYS[4], service) == 0 then
  if redis.call('SCARD', KEYS[4]) >= most_services then
    return { 'full' }
  end
  redis.call('SADD', KEYS[4], service)
end

if not current or string.sub(current, 1, 20) ~= incarnation or string.sub(current, 41) ~= rest then
  turn()
end
local token = math.max(tonumber(redis.call('HGET', known, 'token') or '0') + 1, now)
token = string.format('%020.0f', token)
redis.call('HSET', known, 'token', token)
redis.call('HSET', nodes, name, incarnation .. token .. rest)
redis.call('ZADD', ends, now + ttl, name)
return { 'member', token }
