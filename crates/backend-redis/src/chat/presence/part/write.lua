-- Replaces records that are as expected.
-- ARGV: the server that the part is known to be on; 1 if full memory is to refuse nothing; how many users there may
-- be; the greatest version in the records; and of each user: who, the record that is expected, the one that is to be
-- there, each empty for none; to whom it is news that time has changed it; when what is set ends, empty if that
-- is as it was, or '-'; under which leases the user comes, and under which they go.
-- Answers { } on another server, and else of each user 1, 0 if there is no room, or the record that is there.
if ARGV[1] ~= server then
  return { server, {} }
end
if ARGV[2] == '1' then
  redis.call('HDEL', users, '')
end
local most, version = tonumber(ARGV[3]), tonumber(ARGV[4])
local answers, has_written = {}, false

local function come(user, lease)
  redis.call('SADD', base .. ':at:' .. lease, user)
  if redis.call('SADD', leases, lease) == 1 then
    redis.call('HINCRBY', base, 'turn', 1)
    redis.call('HDEL', base, 'checked')
  end
end

local function go(user, lease)
  redis.call('SREM', base .. ':at:' .. lease, user)
  if redis.call('EXISTS', base .. ':at:' .. lease) == 0 then
    redis.call('SREM', leases, lease)
  end
end

local function replace(user, record, news, until_when)
  if record == '' then
    redis.call('HDEL', users, user)
    redis.call('ZREM', lapsed, user)
  else
    redis.call('HSET', users, user, record)
    if news > 0 then
      local before = tonumber(redis.call('ZSCORE', lapsed, user) or '0')
      redis.call('ZADD', lapsed, bit.bor(before, news), user)
    end
  end
  if until_when == '-' then
    redis.call('ZREM', timed, user)
  elseif until_when ~= '' then
    redis.call('ZADD', timed, until_when, user)
  end
end

for at = 5, #ARGV, 7 do
  local user, expected, record = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local found = redis.call('HGET', users, user) or ''
  if found ~= expected then
    answers[#answers + 1] = found
  elseif found == '' and record ~= '' and redis.call('HLEN', users) >= most then
    answers[#answers + 1] = 0
  else
    -- The lists before the record: what the record says of leases is always in them.
    for lease in string.gmatch(ARGV[at + 5], '%d+') do
      come(user, lease)
    end
    replace(user, record, tonumber(ARGV[at + 3]), ARGV[at + 4])
    for lease in string.gmatch(ARGV[at + 6], '%d+') do
      go(user, lease)
    end
    has_written = true
    answers[#answers + 1] = 1
  end
end
if has_written and version > tonumber(redis.call('HGET', base, 'last') or '0') then
  redis.call('HSET', base, 'last', ARGV[4])
end
return { server, answers }
