-- ARGV: a list, a member to take out, and above what the number of that change must be.
-- Answers whether they were there, and the number.
redis.call('HDEL', base, '') -- a write: so that full memory refuses none after it
local list, member, least = ARGV[1], ARGV[2], tonumber(ARGV[3])
local members = redis.call('HGET', LISTS, list) or ''
local was_there = 0
for at = 1, #members, 8 do
  if string.sub(members, at, at + 7) == member then
    was_there = 1
    members = string.sub(members, 1, at - 1) .. string.sub(members, at + 8)
    break
  end
end
local number = next_number(least)
put_list(list, members, number)
return { was_there, number }
