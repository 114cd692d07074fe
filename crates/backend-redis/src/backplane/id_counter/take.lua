-- Takes the next numbers of a counter.
-- KEYS: a hash: the `last` number, and the `server` that it was given by.
-- ARGV: how many, the last number that the caller has had, and how many are passed over after a loss.
-- Answers the last of them, or nothing if there are not so many. Numbers are text: those of Lua are not exact.
local key, count, had, leap = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local known = redis.call('HMGET', key, 'last', 'server')
local last = known[1] or '0'
if not string.match(last, '^%d+$') then
  return redis.error_reply('ERR the counter is no number')
end

local is_behind = #last < #had or #last == #had and last < had
if is_behind then
  last = had
end
local is_lost = known[2] and known[2] ~= server or is_behind
redis.call('HSET', key, 'last', last)
for _, step in ipairs({ is_lost and leap or '0', count }) do
  local taken = redis.pcall('HINCRBY', key, 'last', step)
  if type(taken) == 'table' then
    redis.call('HSET', key, 'last', last)
    return string.find(taken.err, 'overflow', 1, true) and redis.status_reply('FULL') or taken
  end
end
redis.call('HSET', key, 'server', server)
return redis.call('HGET', key, 'last')
