-- Whom time may have changed.
-- ARGV: the time, how many users are asked for, and leases that have ended.
-- Answers the last version, and { user, lease, record, … }, where the lease is empty of those whose settings have
-- ended, and the record if there is none.
local now, limit = ARGV[1], tonumber(ARGV[2])
local found = {}

local function add(user, lease)
  found[#found + 1] = user
  found[#found + 1] = lease
  found[#found + 1] = redis.call('HGET', users, user) or ''
end

for _, user in ipairs(redis.call('ZRANGEBYSCORE', timed, '-inf', now, 'LIMIT', 0, limit)) do
  add(user, '')
end
for at = 3, #ARGV do
  local left = limit - #found / 3
  if left <= 0 then
    break
  end
  -- Some at random, so that those who look at the same time look at others.
  local there = redis.call('SRANDMEMBER', base .. ':at:' .. ARGV[at], left)
  if #there == 0 then
    redis.call('SREM', leases, ARGV[at])
  end
  for _, user in ipairs(there) do
    add(user, ARGV[at])
  end
end
return { server, redis.call('HGET', base, 'last') or '0', found }
