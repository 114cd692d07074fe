-- ARGV[6…]: a lane, of which it forgets a slice; and what the last slice answered, or 'tasks', 0 and nothing: what
-- is looked through, from where, and of which server that is, as others have another order.
-- Answers how many tasks it forgot, and what is left to look through, from where on this server; 'nothing' at the
-- end.
local lane, looked_through, from, left = ARGV[6], ARGV[7], ARGV[8], SLICE
local here = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if here ~= ARGV[9] then
  looked_through, from = 'tasks', '0'
end
local gone = {}

-- Those who stand in line go first, since no task may be ready and stand in none.
for class = 0, 2 do
  local line, ring = base .. ':line:' .. class .. ':' .. lane, base .. ':ring:' .. class
  local ids = left > 0 and redis.call('LPOP', line, left)
  if ids then
    for _, id in ipairs(ids) do
      gone[#gone + 1] = id
    end
    left = left - #ids
    if redis.call('EXISTS', line) == 0 then
      redis.call('LREM', ring, 1, class .. ':' .. lane)
      if redis.call('EXISTS', ring) == 0 then
        redis.call('HDEL', base, 'passed:' .. class)
      end
    end
  end
end
finished, remembers = {}, false
for at, task in ipairs(read(base .. ':tasks', gone)) do
  finished[#finished + 1] = gone[at]
  finished[#finished + 1] = task
end

if left > 0 and looked_through == 'tasks' then
  local is_gone = {}
  for _, id in ipairs(gone) do
    is_gone[id] = true
  end
  local found = redis.call('HSCAN', base .. ':tasks', from, 'COUNT', left)
  for at = 1, #found[2], 2 do
    local id, task = found[2][at], found[2][at + 1]
    local place = struct.unpack('Bc0', task, 19)
    if string.sub(place, 3) == lane and not is_gone[id] then
      is_gone[id] = true
      gone[#gone + 1] = id
      finished[#finished + 1] = id
      finished[#finished + 1] = task
    end
  end
  from = found[1]
  looked_through = from == '0' and 'settled' or 'tasks'
end
if left > 0 and looked_through == 'settled' then
  local found = redis.call('ZSCAN', base .. ':settled', from, 'MATCH', lane .. ':*', 'COUNT', left)
  local members = {}
  for at = 1, #found[2], 2 do
    members[#members + 1] = found[2][at]
    forgotten[#forgotten + 1] = string.sub(found[2][at], #lane + 2)
  end
  leaving[':settled'] = members
  from = found[1]
  looked_through = from == '0' and 'nothing' or 'settled'
end
for _, set in ipairs({ ':ready', ':waiting', ':leased', ':dead' }) do
  leaving[set] = gone
end
answer = { #gone, looked_through, from, here }
