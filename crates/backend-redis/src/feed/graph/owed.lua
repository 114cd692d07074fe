-- ARGV: how many. Answers of so many changes that are pending their kind, the other user, their number and
-- the tie.
local answer = {}
for _, change in ipairs(redis.call('HRANDFIELD', PENDING, ARGV[1])) do
  local kind, other = string.sub(change, 1, 1), string.sub(change, 2)
  local number, tie = owed(kind, other)
  for _, part in ipairs({ kind, other, number, tie }) do
    answer[#answer + 1] = part
  end
end
return answer
