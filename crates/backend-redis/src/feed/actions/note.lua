-- ARGV: above what the number must be, then of each action its kind, the post and the item.
-- Notes that they may be done, and answers the number of the notes.
local number = next_number(tonumber(ARGV[1]))
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
