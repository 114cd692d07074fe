-- ARGV[6…]: ids. Answers of each whether it is unknown (0), gone (1) or leased (2).
answer, finished = {}, {}
local gone = {}
leaving[':waiting'], leaving[':dead'] = gone, gone
local ids, tasks = { unpack(ARGV, 6) }, {}
for which, task in ipairs(read(base .. ':tasks', ids)) do
  tasks[ids[which]] = task
end
for which, id in ipairs(ids) do
  local task = tasks[id]
  if not task then
    answer[which] = 0
  elseif struct.unpack('>I8', task, 5) > 0 then
    answer[which] = 2
  else
    answer[which] = 1
    tasks[id] = false
    finished[#finished + 1] = id
    finished[#finished + 1] = task
    gone[#gone + 1] = id
    if redis.call('ZREM', base .. ':ready', id) == 1 then
      local place = struct.unpack('Bc0', task, 19)
      redis.call('LREM', base .. ':line:' .. place, 1, id)
      if redis.call('EXISTS', base .. ':line:' .. place) == 0 then
        local ring = base .. ':ring:' .. string.sub(place, 1, 1)
        redis.call('LREM', ring, 1, place)
        if redis.call('EXISTS', ring) == 0 then
          redis.call('HDEL', base, 'passed:' .. string.sub(place, 1, 1))
        end
      end
    end
  end
end
