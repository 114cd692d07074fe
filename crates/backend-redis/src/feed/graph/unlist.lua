-- ARGV: of each list that this user is in no more its owner, the list, and the number of that change.
-- Answers nothing of use.
for at = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', LISTED, ARGV[at])
  if score and tonumber(score) <= value_of(ARGV[at + 1]) then
    redis.call('ZREM', LISTED, ARGV[at])
  end
end
return 1
