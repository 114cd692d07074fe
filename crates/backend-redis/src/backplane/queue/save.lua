  end

  if buried then
    local dead, reasons = {}, {}
    kept = kept or {}
    for at = 1, #buried, 5 do
      local id, task = buried[at], buried[at + 1]
      kept[#kept + 1] = id
      kept[#kept + 1] = string.sub(task, 1, 4) .. struct.pack('>I8', 0) .. string.sub(task, 13)
      reasons[#reasons + 1] = id
      reasons[#reasons + 1] = buried[at + 2] .. struct.pack('>I6', buried[at + 3]) .. buried[at + 4]
      dead[#dead + 1] = id
      dead[#dead + 1] = id
    end
    tell('ZADD', base .. ':dead', dead)
    tell('HSET', base .. ':reasons', reasons)
  end

  if finished then
    local gone, settled, most = {}, {}, tonumber(ARGV[3])
    -- One after another, so that they are forgotten in the order in which they were settled.
    local remembered_until = now + tonumber(ARGV[2])
    for at = 1, #finished, 2 do
      local task = finished[at + 1]
      gone[#gone + 1] = finished[at]
      local place, after = struct.unpack('Bc0', task, 19)
      local key = after <= #task and string.sub(task, after + 1)
      if key and remembers and remembered_until > now and most > 0 then
        due = math.min(due, remembered_until)
        settled[#settled + 1] = string.format('%.0f', remembered_until)
        settled[#settled + 1] = string.sub(place, 3) .. ':' .. key
        remembered_until = remembered_until + 1
      elseif key then
        forgotten[#forgotten + 1] = key
      end
    end
    tell('HDEL', base .. ':tasks', gone)
    tell('HDEL', base .. ':payloads', gone)
    local crowd = tell('ZADD', base .. ':settled', settled) and redis.call('ZCARD', base .. ':settled')
    if crowd and crowd > most then
      for at, member in ipairs(redis.call('ZPOPMIN', base .. ':settled', crowd - most)) do
        if at % 2 == 1 then
          forgotten[#forgotten + 1] = string.match(member, '^%d+:(.*)$')
        end
      end
    end
  end
  tell('HDEL', base .. ':keys', forgotten)

  tell('HSET', base .. ':tasks', kept)
  tell('HSET', base .. ':payloads', payloads)
  for set, tasks in pairs(leaving) do
    tell('ZREM', base .. set, tasks)
  end
  tell('HDEL', base .. ':reasons', leaving[':dead'])
  tell('ZADD', base .. ':leased', leased)

  if standing then
    local ready, waiting, lines, places = {}, {}, {}, {}
    for number = 1, #standing, 3 do
      local at, id, place = standing[number], standing[number + 1], standing[number + 2]
      local set = at > now and waiting or ready
      set[#set + 1] = at == now and NOW or string.format('%.0f', at)
      set[#set + 1] = id
      if at > now then
        due = math.min(due, at)
      elseif lines[place] then
        lines[place][#lines[place] + 1] = id
      else
        lines[place] = { id }
        places[#places + 1] = place
      end
    end
    tell('ZADD', base .. ':waiting', waiting)
    tell('ZADD', base .. ':ready', ready)
    for _, place in ipairs(places) do
      if tell('RPUSH', base .. ':line:' .. place, lines[place]) == #lines[place] then
        redis.call('RPUSH', base .. ':ring:' .. string.sub(place, 1, 1), place)
      end
    end
  end

  if step == 1 then
    kept, payloads, standing, buried = nil, nil, nil, nil
    leaving, forgotten = {}, {}
    due = ARGV[5] ~= '' and now + TRUST or math.huge
    for _, set in ipairs({ ':waiting', ':leased', ':settled' }) do
      due = math.min(due, tonumber(redis.call('ZRANGE', base .. set, 0, 0, 'WITHSCORES')[2] or 'inf'))
    end
  end
end

if tonumber(numbers[2] or 0) ~= due then
  news[#news + 1] = 'due'
  news[#news + 1] = due < math.huge and string.format('%.0f', due) or 'inf'
end
if is_changed or #news > 0 then
  redis.call('HSET', base, 'now', NOW, unpack(news))
end
return answer
