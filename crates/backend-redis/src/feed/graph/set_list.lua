-- ARGV: a list, a number that was given for this, and the members.
-- Answers who the members were before, or 0 if the list may have changed since the number was given.
local list, number, members = ARGV[1], ARGV[2], ARGV[3]
if changed(list) > value_of(number) then
  return 0
end
local before = redis.call('HGET', LISTS, list) or ''
put_list(list, members, number)
outlast(value_of(number))
redis.call('PEXPIRE', base, KEPT)
return before
