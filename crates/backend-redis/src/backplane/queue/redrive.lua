-- ARGV[7…]: ids. Answers how many were dead.
local redriven = 0
for at = 7, #ARGV do
  local id = ARGV[at]
  if redis.call('ZREM', DEAD, id) == 1 then
    local task = redis.call('HMGET', task_of(id), 'p', 'l')
    redis.call('HSET', task_of(id), 'a', 0)
    redis.call('HDEL', task_of(id), 'c', 'r', 'x')
    line_up(id, task[1], task[2], now)
    redriven = redriven + 1
  end
end
return redriven
