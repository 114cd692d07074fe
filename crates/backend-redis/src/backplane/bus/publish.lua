-- ARGV[4…]: how many messages and how many keys are kept, for how long keys are, and the command that
-- publishes on Redis 7; then of each message its key, if it has one, and its payload.
-- Answers the epoch, then of each message whether it is new, and its position.
local most, most_keys = tonumber(ARGV[4]), tonumber(ARGV[5])
local key_ttl = tonumber(ARGV[6])
-- Before Redis 7, which has this number, there are no shard channels, and all nodes get what is published.
local publish = redis.REDIS_VERSION_NUM and ARGV[7] or 'PUBLISH'

local function known_offset(key)
  local known = redis.call('HGET', BY_KEY, key)
  if not known then
    return nil
  end
  local offset, at = string.match(known, '^(%d+) (%d+)$')
  return tonumber(at) + key_ttl > now and offset or nil
end

local function forget_keys()
  while redis.call('ZCARD', ORDER) > most_keys do
    redis.call('HDEL', BY_KEY, redis.call('ZPOPMIN', ORDER)[1])
  end
end

local answer, news = { epoch }, {}
for at = 8, #ARGV, 2 do
  local key, payload = ARGV[at], ARGV[at + 1]
  local known = key ~= '' and known_offset(key)
  if known then
    answer[#answer + 1] = 0
    answer[#answer + 1] = known
  else
    top = top + 1
    local offset = text(top)
    -- First of all writes, as where memory is full it is the only one that is refused.
    redis.call('XADD', HISTORY, 'MAXLEN', most, offset .. '-0', 't', now, 'p', payload)
    expire_messages(2)
    if key ~= '' then
      redis.call('HSET', BY_KEY, key, offset .. ' ' .. text(now))
      redis.call('ZADD', ORDER, top, key)
      forget_keys()
    end
    news[#news + 1] = epoch .. string.format('%020.0f', top) .. payload
    answer[#answer + 1] = 1
    answer[#answer + 1] = offset
  end
end
if #news > 0 then
  redis.call('HSET', base, 'top', text(top))
end
redis.call('PEXPIRE', base, topic_ttl)
redis.call('PEXPIRE', HISTORY, message_ttl)
redis.call('PEXPIRE', BY_KEY, key_ttl)
redis.call('PEXPIRE', ORDER, key_ttl)
-- Last of all, since whose user may use no channels is refused here.
for _, message in ipairs(news) do
  redis.call(publish, base, message)
end
return answer
