-- ARGV[6…]: how many tasks, for how long, and the patience of lower priorities.
-- Answers of each its id, the task and its payload.
local most, until_when, patience = tonumber(ARGV[6]), now + tonumber(ARGV[7]), tonumber(ARGV[8])

-- How many places of each class have a turn, and how often it was passed over in a row.
local turns, passed = {}, { [0] = 0, tonumber(numbers[5] or 0), tonumber(numbers[6] or 0) }
for class = 0, 2 do
  turns[class] = redis.call('LLEN', base .. ':ring:' .. class)
end

local ids = {}
while #ids < most do
  -- The highest class that there is, or the first below it that was passed over too often; and how many tasks
  -- of it in a row.
  local chosen, run = nil, most - #ids
  for class = 0, 2 do
    if turns[class] > 0 and not chosen then
      chosen = class
    elseif turns[class] > 0 and passed[class] >= patience then
      chosen, run = class, 1
      break
    elseif turns[class] > 0 then
      run = math.min(run, patience - passed[class])
    end
  end
  if not chosen then
    break
  end

  local before = #ids
  -- A turn is one task, or as many as there may be where nobody else has a turn.
  local ring = base .. ':ring:' .. chosen
  while run > 0 and turns[chosen] > 0 do
    local turn, again = turns[chosen] == 1 and run or 1, {}
    for _, place in ipairs(redis.call('LPOP', ring, run)) do
      local line = base .. ':line:' .. place
      for _, id in ipairs(redis.call('LPOP', line, turn)) do
        ids[#ids + 1] = id
        run = run - 1
      end
      turns[chosen] = turns[chosen] - 1
      if redis.call('EXISTS', line) == 1 then
        again[#again + 1] = place
      end
    end
    tell('RPUSH', ring, again)
    turns[chosen] = turns[chosen] + #again
  end
  passed[chosen] = 0
  for class = chosen + 1, 2 do
    if turns[class] > 0 then
      passed[class] = passed[class] + #ids - before
    end
  end
end
for class = 1, 2 do
  if passed[class] ~= tonumber(numbers[4 + class] or 0) then
    news[#news + 1] = 'passed:' .. class
    news[#news + 1] = passed[class]
  end
end

answer = {}
if #ids > 0 then
  local tasks, found = read(base .. ':tasks', ids), read(base .. ':payloads', ids)
  local token = math.max(tonumber(numbers[4] or 0) + 1, now)
  local ends = string.format('%.0f', until_when)
  kept, leased, leaving[':ready'] = {}, {}, ids
  local count = 0
  for at, id in ipairs(ids) do
    if tasks[at] then
      count = count + 1
      local attempts = struct.unpack('>I4', tasks[at])
      local task = struct.pack('>I4I8', attempts + 1, token) .. string.sub(tasks[at], 13)
      token = token + 1
      kept[2 * count - 1], kept[2 * count] = id, task
      leased[2 * count - 1], leased[2 * count] = ends, id
      answer[3 * count - 2], answer[3 * count - 1], answer[3 * count] = id, task, found[at]
    end
  end
  due = math.min(due, until_when)
  news[#news + 1] = 'token'
  news[#news + 1] = string.format('%.0f', token - 1)
end
