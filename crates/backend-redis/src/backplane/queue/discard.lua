-- ARGV[7…]: ids. Answers of each whether it is unknown (0), gone (1) or leased (2).
local answers = {}
for at = 7, #ARGV do
  local id = ARGV[at]
  local task = redis.call('HMGET', task_of(id), 'p', 'l', 't')
  local answer = 1
  if not task[1] then
    answer = 0
  elseif task[3] then
    answer = 2
  else
    if redis.call('ZREM', READY, id) == 1 then
      redis.call('LREM', line_of(task[1], task[2]), 1, id)
      if redis.call('EXISTS', line_of(task[1], task[2])) == 0 then
        end_turns(task[1], task[2])
      end
    end
    redis.call('ZREM', WAITING, id)
    redis.call('ZREM', DEAD, id)
    finish(id)
  end
  answers[#answers + 1] = answer
end
return answers
