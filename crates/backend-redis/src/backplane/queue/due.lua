-- Ends the delays and leases that have passed: what is between here and `else` is a step of its own before that
-- of the script, which is the file that follows, and `save.lua` ends both.
for step = now >= due and 1 or 2, 2 do
  if step == 1 then
    local ended, ids, all_until = {}, {}, now
    for which, set in ipairs({ ':waiting', ':leased' }) do
      local found = redis.call('ZRANGEBYSCORE', base .. set, '-inf', NOW, 'WITHSCORES', 'LIMIT', 0, SLICE)
      if #found == 2 * SLICE then
        -- There may be more of the last moment, which go next time; unless there is no other moment.
        local first, last = tonumber(found[2]), tonumber(found[#found])
        all_until = math.min(all_until, first < last and last - 1 or last)
      end
      for at = 1, #found, 2 do
        ids[#ids + 1] = found[at]
        ended[#ended + 1] = { found[at], tonumber(found[at + 1]), which == 2, #ended }
      end
    end
    for at, task in ipairs(read(base .. ':tasks', ids)) do
      ended[at].task = task
    end
    table.sort(ended, function(one, other)
      return one[2] < other[2] or one[2] == other[2] and one[4] < other[4]
    end)
    local woken, ended_leases = {}, {}
    kept, standing, buried = {}, {}, {}
    leaving = { [':waiting'] = woken, [':leased'] = ended_leases }
    for _, one in ipairs(ended) do
      local id, at, was_leased, task = one[1], one[2], one[3], one.task
      if at > all_until then
        break
      end
      local left = was_leased and ended_leases or woken
      left[#left + 1] = id
      if not task then
        -- It was lost, and nobody can have it.
      elseif was_leased and struct.unpack('>I4', task) >= tonumber(ARGV[1]) then
        for _, part in ipairs({ id, task, 'x', wall - math.floor((now - at) / 1000), '' }) do
          buried[#buried + 1] = part
        end
      else
        if was_leased then
          kept[#kept + 1] = id
          kept[#kept + 1] = string.sub(task, 1, 4) .. struct.pack('>I8', 0) .. string.sub(task, 13)
        end
        standing[#standing + 1] = at
        standing[#standing + 1] = id
        standing[#standing + 1] = struct.unpack('Bc0', task, 19)
      end
    end
    leaving[':settled'] = redis.call('ZRANGEBYSCORE', base .. ':settled', '-inf', NOW, 'LIMIT', 0, SLICE)
    for _, member in ipairs(leaving[':settled']) do
      forgotten[#forgotten + 1] = string.match(member, '^%d+:(.*)$')
    end
    -- The server may have lost the end of the queue if it was started since, or was another's replica. A
    -- queue that has lost everything looks like one that is new.
    local server = ARGV[5] ~= '' and string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    if server and redis.call('HGET', base, 'server') ~= server then
      local id = string.format('%.0f', math.max(tonumber(numbers[3] or 0) + 1, now))
      numbers[3] = id
      for _, part in ipairs({ 'server', server, 'task', id }) do
        news[#news + 1] = part
      end
      payloads = { id, ARGV[4] }
      kept[#kept + 1] = id
      kept[#kept + 1] = struct.pack('>I4I8I6Bc0', 0, 0, wall, #ARGV[5], ARGV[5])
      standing[#standing + 1] = now
      standing[#standing + 1] = id
      standing[#standing + 1] = ARGV[5]
    end
  else
