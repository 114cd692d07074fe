-- ARGV: of each change its kind, the other user, its number, and nothing if its copy was made, or above
-- what its number must be.
-- Answers what is owed still: of each change its kind, the other user, its number and the tie.
local answer = {}
for at = 1, #ARGV, 4 do
  local kind, other, number, least = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local is_newest = redis.call('HGET', PENDING, kind .. other) == number
  if least == '' then
    if is_newest then
      redis.call('HDEL', PENDING, kind .. other)
    end
  else
    if is_newest then
      redis.call('HDEL', PENDING, kind .. other)
      number = next_number(tonumber(least))
      local tie = tie_to(kind, other)
      if tie and kind == 'F' then
        local flags, stamp, pulled_until = parts(tie)
        set_tie(kind, other, edge_of(flags, stamp, pulled_until, number), number)
      elseif tie then
        set_tie(kind, other, number, number)
      else
        redis.call('HSET', PENDING, kind .. other, number)
      end
    end
    local pending, tie = owed(kind, other)
    if pending ~= '' then
      for _, part in ipairs({ kind, other, pending, tie }) do
        answer[#answer + 1] = part
      end
    end
  end
end
return answer
