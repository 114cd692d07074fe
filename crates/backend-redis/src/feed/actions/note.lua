-- ARGV: above what the number must be, then of each action its kind, the post and the item.
-- Notes that they may be done, and answers the number of the notes.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('HGET', base, 'last') or '0')
local value = math.max(math.max(last, tonumber(ARGV[1])) + 1, now)
local number = struct.pack('>I8', value)
redis.call('HSET', base, 'last', string.format('%.0f', value))
-- Redis writes each change of a TTL to its replicas, so few numbers make one.
if last > now or last < now - HOUR * 1000 then
  redis.call('PEXPIRE', base, KEPT)
end
for at = 2, #ARGV, 3 do
  local kind, post, item = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if BY_POST[kind] then
    redis.call('HSET', BY_POST[kind], post, number)
  else
    local member = made(item, kind, post)
    if member then
      redis.call('ZREM', MADE, member)
    end
    redis.call('ZADD', MADE, 0, item .. kind .. post .. number)
  end
end
return number
