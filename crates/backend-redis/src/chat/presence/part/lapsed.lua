-- ARGV: the epoch of the leases, the time, how many users are asked for, and of those that are settled: who, and the
-- versions that were announced.
-- Answers the last version, { user, to whom it is news, record, … }, whether the settings of others have ended, the
-- turn, and the leases of which some may have ended.
local epoch, now, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
for at = 4, #ARGV, 2 do
  local record = redis.call('HGET', users, ARGV[at])
  if not record or string.sub(record, 2, 17) == ARGV[at + 1] then
    redis.call('ZREM', lapsed, ARGV[at])
  end
end

local told = {}
local found = redis.call('ZRANGE', lapsed, 0, limit - 1, 'WITHSCORES')
for at = 1, #found, 2 do
  local record = redis.call('HGET', users, found[at])
  if record then
    for _, part in ipairs({ found[at], found[at + 1], record }) do
      told[#told + 1] = part
    end
  else
    redis.call('ZREM', lapsed, found[at])
  end
end

local state = redis.call('HMGET', base, 'last', 'turn', 'checked')
local is_due = #redis.call('ZRANGEBYSCORE', timed, '-inf', now, 'LIMIT', 0, 1)
local unchecked = state[3] == epoch and {} or redis.call('SMEMBERS', leases)
return { server, state[1] or '0', told, is_due, state[2] or '0', unchecked }
