-- ARGV[7…]: how many tasks, for how long, and the patience of lower priorities.
-- Answers of each task its id, token, attempt, lane, time of enqueuing and payload.
local most, ttl, patience = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local function passed_over(class)
  return tonumber(redis.call('HGET', base, 'passed:' .. class) or '0')
end

-- The highest class that was passed over too often, or else the highest that there is.
local function next_class()
  local ready = {}
  for class = 0, 2 do
    if redis.call('EXISTS', ring_of(class)) == 1 then
      ready[#ready + 1] = class
    end
  end
  local chosen = ready[1]
  for at = 2, #ready do
    if passed_over(ready[at]) >= patience then
      chosen = ready[at]
      break
    end
  end
  if #ready > 1 then
    redis.call('HDEL', base, 'passed:' .. chosen)
    for _, class in ipairs(ready) do
      if class > chosen then
        redis.call('HINCRBY', base, 'passed:' .. class, 1)
      end
    end
  end
  return chosen
end

local leases = {}
while #leases < 6 * most do
  local class = next_class()
  if not class then
    break
  end
  local lane = redis.call('LPOP', ring_of(class))
  local id = redis.call('LPOP', line_of(class, lane))
  if redis.call('EXISTS', line_of(class, lane)) == 1 then
    redis.call('RPUSH', ring_of(class), lane)
  elseif redis.call('EXISTS', ring_of(class)) == 0 then
    redis.call('HDEL', base, 'passed:' .. class)
  end
  redis.call('ZREM', READY, id)
  redis.call('ZADD', LEASED, now + ttl, id)
  local token = next_number('token')
  redis.call('HSET', task_of(id), 't', token)
  local attempt = redis.call('HINCRBY', task_of(id), 'a', 1)
  local task = redis.call('HMGET', task_of(id), 'e', 'd')
  for _, part in ipairs({ id, token, attempt, lane, task[1], task[2] }) do
    leases[#leases + 1] = part
  end
end
return leases
