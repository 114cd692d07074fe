-- ARGV[7]: a lane, of which it forgets a slice.
-- Answers how many tasks that were not settled it forgot, and whether there are more.
local lane, purged, left = ARGV[7], 0, SLICE

local function purge(id)
  for _, set in ipairs({ READY, WAITING, LEASED, DEAD }) do
    purged = purged + redis.call('ZREM', set, id)
  end
  redis.call('ZREM', SETTLED, id)
  forget(id)
  left = left - 1
end

-- Those who stand in line go first, since no task may be ready and stand in none.
for class = 0, 2 do
  while left > 0 do
    local id = redis.call('LPOP', line_of(class, lane))
    if not id then
      break
    end
    purge(id)
    if redis.call('EXISTS', line_of(class, lane)) == 0 then
      end_turns(class, lane)
    end
  end
end
while left > 0 do
  local id = redis.call('SRANDMEMBER', base .. ':of:' .. lane)
  if not id then
    break
  end
  purge(id)
end
return { purged, redis.call('EXISTS', base .. ':of:' .. lane) }
