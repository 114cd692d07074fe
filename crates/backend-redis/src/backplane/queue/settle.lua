-- ARGV[7…]: of each lease its id and token, what becomes of the task, a delay, and a payload or reason.
-- Answers of each whether it was lost (0), settled as asked (1), or buried although it was to be tried
-- again (2).
local answers = {}
for at = 7, #ARGV, 5 do
  local id, token, how, delay, extra = unpack(ARGV, at, at + 4)
  local answer = 0
  if is_held(id, token) then
    answer = 1
    redis.call('ZREM', LEASED, id)
    local task = redis.call('HMGET', task_of(id), 'p', 'l', 'a')
    local class, lane, attempts = task[1], task[2], tonumber(task[3])
    redis.call('HDEL', task_of(id), 't')
    if how == 'ack' then
      finish(id)
    elseif how == 'bury' then
      bury(id, 'b', extra, wall)
    elseif how == 'retry' and attempts >= max_attempts then
      bury(id, 'f', extra, wall)
      answer = 2
    else
      if how == 'continue' then
        redis.call('HSET', task_of(id), 'd', extra, 'a', 0)
      elseif how == 'release' then
        redis.call('HSET', task_of(id), 'a', attempts - 1)
      end
      wait(id, class, lane, tonumber(delay))
    end
  end
  answers[#answers + 1] = answer
end
return answers
