-- ARGV[7…]: for how long, then the id and token of each lease. Answers whether each was held.
local until_when, answers = now + tonumber(ARGV[7]), {}
for at = 8, #ARGV, 2 do
  local held = is_held(ARGV[at], ARGV[at + 1])
  if held then
    redis.call('ZADD', LEASED, 'GT', until_when, ARGV[at])
  end
  answers[#answers + 1] = held and 1 or 0
end
return answers
