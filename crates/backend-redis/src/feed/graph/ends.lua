-- ARGV: how many. Answers of so many ties that this user has an end of their kind, with f for an edge and m
-- for a mute by somebody else, and the other user.
local left, answer = tonumber(ARGV[1]), {}
local function add(kind, others)
  for _, other in ipairs(others) do
    answer[#answer + 1] = kind .. string.sub(other, 1, 8 + 1 - #kind)
  end
  left = left - #others
end
add('F', redis.call('HRANDFIELD', FOLLOWEES, left))
if left > 0 then
  add('f', redis.call('ZRANGE', FOLLOWERS, 0, left - 1))
end
if left > 0 then
  add('', redis.call('HRANDFIELD', TIES, left))
end
if left > 0 then
  add('m', redis.call('ZRANGE', MUTED_BY, 0, left - 1))
end
return answer
