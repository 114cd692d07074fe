-- ARGV[7…]: an id, or '-inf', and how many.
-- Answers of each its id, lane, class, attempts, time of enqueuing, payload, cause, reason and time of
-- death.
local after, letters = ARGV[7], {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', DEAD, after, '+inf', 'LIMIT', 0, ARGV[8])) do
  letters[#letters + 1] = id
  local task = redis.call('HMGET', task_of(id), 'l', 'p', 'a', 'e', 'd', 'c', 'r', 'x')
  for _, part in ipairs(task) do
    letters[#letters + 1] = part
  end
end
return letters
