-- ARGV: a list, a number that was given for this, and the members.
-- Answers who the members were before, or 0 if the list was changed since the number was given.
local list, number, members = ARGV[1], ARGV[2], ARGV[3]
local last = redis.call('HGET', base, list)
if last and value_of(last) > value_of(number) then
  return 0
end
local before = redis.call('HGET', LISTS, list) or ''
if members == '' then
  redis.call('HDEL', LISTS, list)
else
  redis.call('HSET', LISTS, list, members)
end
redis.call('HSET', base, list, number)
redis.call('PEXPIRE', base, KEPT)
return before
