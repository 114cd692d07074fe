-- ARGV: how many. Answers of so many notes of what the user did the kind, the post, the item and the number.
local left, answer = tonumber(ARGV[1]), {}
local likes = redis.call('HRANDFIELD', BY_POST['1'], left, 'WITHVALUES')
for at = 1, #likes, 2 do
  for _, part in ipairs({ '1', likes[at], likes[at], likes[at + 1] }) do
    answer[#answer + 1] = part
  end
  left = left - 1
end
if left > 0 then
  for _, member in ipairs(redis.call('ZRANGE', MADE, 0, left - 1)) do
    local item, kind, post = string.sub(member, 1, 8), string.sub(member, 9, 9), string.sub(member, 10, 17)
    for _, part in ipairs({ kind, post, item, string.sub(member, 18) }) do
      answer[#answer + 1] = part
    end
  end
end
return answer
