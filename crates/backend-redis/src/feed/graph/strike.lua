-- ARGV: a list, and a member to take out. Answers whether they were there, and the number of the change.
local list, member = ARGV[1], ARGV[2]
local members = redis.call('HGET', LISTS, list) or ''
local was_there = 0
for at = 1, #members, 8 do
  if string.sub(members, at, at + 7) == member then
    was_there = 1
    members = string.sub(members, 1, at - 1) .. string.sub(members, at + 8)
    break
  end
end
if members == '' then
  redis.call('HDEL', LISTS, list)
elseif was_there == 1 then
  redis.call('HSET', LISTS, list, members)
end
local number = next_number()
redis.call('HSET', base, list, number)
return { was_there, number }
