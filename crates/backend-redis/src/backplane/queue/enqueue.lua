-- ARGV[6…]: how many tasks may wait or be leased, how many dead letters are held besides, and how many tasks
-- there are; of each its place and payload; then of those that have a delay or a key which one it is, the
-- delay, and the key behind a '+' or nothing.
-- Answers the id of the first that is new, and of each that is not which one it is, and its id; or 0 if there
-- is no room now, and 1 if there never is so much.
local capacity, count = tonumber(ARGV[6]), tonumber(ARGV[8])
local needed, delays, keys, known = count, {}, {}, {}
if #ARGV > 8 + 2 * count then
  local keyed = {}
  for at = 9 + 2 * count, #ARGV, 3 do
    local which = tonumber(ARGV[at])
    delays[which] = tonumber(ARGV[at + 1])
    if ARGV[at + 2] ~= '' then
      keys[which] = ARGV[at + 2]
      keyed[#keyed + 1] = string.sub(keys[which], 2)
    end
  end
  local seen = {}
  for at, id in ipairs(read(base .. ':keys', keyed)) do
    local key = '+' .. keyed[at]
    known[key] = id
    if id or seen[key] then
      needed = needed - 1
    end
    seen[key] = true
  end
end

-- All tasks, and not only so many of the dead letters, is more than enough to begin with.
local held = redis.call('HLEN', base .. ':tasks')
if held + needed > capacity then
  local dead = redis.call('ZCARD', base .. ':dead')
  held = held - math.min(dead, tonumber(ARGV[7]))
end

if needed > capacity then
  answer = 1
elseif needed > 0 and held + needed > capacity then
  answer = 0
elseif needed == 0 then
  answer = { '' }
  for which = 1, count do
    answer[#answer + 1] = which
    answer[#answer + 1] = known[keys[which]]
  end
else
  kept, payloads, ready, places, waiting = {}, {}, {}, {}, {}
  local number, fresh, by_key = math.max(tonumber(numbers[3] or 0) + 1, now), {}, {}
  answer = { string.format('%.0f', number) }
  for which = 1, count do
    local place, key = ARGV[7 + 2 * which], keys[which]
    if key and known[key] then
      answer[#answer + 1] = which
      answer[#answer + 1] = known[key]
    else
      local id = string.format('%.0f', number)
      number = number + 1
      local task = fresh[place]
      if not task then
        task = struct.pack('>I4I8I6Bc0', 0, 0, wall, #place, place)
        fresh[place] = task
      end
      if key then
        task = task .. key
        known[key] = id
        by_key[#by_key + 1] = string.sub(key, 2)
        by_key[#by_key + 1] = id
      end
      kept[#kept + 1] = id
      kept[#kept + 1] = task
      payloads[#payloads + 1] = id
      payloads[#payloads + 1] = ARGV[8 + 2 * which]
      local delay = delays[which] or 0
      if delay > 0 then
        due = math.min(due, now + delay)
        waiting[#waiting + 1] = string.format('%.0f', now + delay)
        waiting[#waiting + 1] = id
      else
        ready[#ready + 1] = NOW
        ready[#ready + 1] = id
        places[#places + 1] = place
      end
    end
  end
  tell('HSET', base .. ':keys', by_key)
  news[#news + 1] = 'task'
  news[#news + 1] = string.format('%.0f', number - 1)
end
