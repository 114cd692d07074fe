-- ARGV[6…]: how many tasks may wait or be leased, and how many dead letters are held besides. Then the parts,
-- of each all tasks are added or none: how many tasks there are, and how many that have a delay or a key; of
-- each task its place and payload; of each that has a delay or a key which one it is, the delay, and the key
-- behind a '+' or nothing.
-- Answers of each part the id of the first that is new, and of each that is not which one it is, and its id;
-- or 0 if there is no room now, and 1 if there never is so much.
local capacity, at = tonumber(ARGV[6]), 8
local number = math.max(tonumber(numbers[3] or 0) + 1, now)
local held, dead = redis.call('HLEN', base .. ':tasks'), nil
local fresh = {}
answer, kept, payloads, standing = {}, {}, {}, {}
while ARGV[at] do
  local count, extras = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local first, last = at + 2, at + 2 * count
  local needed, delays, keys, known = count, {}, {}, {}
  at = last + 2
  if extras > 0 then
    local keyed, seen = {}, {}
    for _ = 1, extras do
      local which = tonumber(ARGV[at])
      delays[which] = tonumber(ARGV[at + 1])
      if ARGV[at + 2] ~= '' then
        keys[which] = ARGV[at + 2]
        keyed[#keyed + 1] = string.sub(keys[which], 2)
      end
      at = at + 3
    end
    for which, id in ipairs(read(base .. ':keys', keyed)) do
      local key = '+' .. keyed[which]
      known[key] = id
      if id or seen[key] then
        needed = needed - 1
      end
      seen[key] = true
    end
  end

  -- Dead letters are only counted where it matters.
  if held + needed > capacity and not dead then
    dead = redis.call('ZCARD', base .. ':dead')
    held = held - math.min(dead, tonumber(ARGV[7]))
  end
  if needed > capacity then
    answer[#answer + 1] = 1
  elseif needed > 0 and held + needed > capacity then
    answer[#answer + 1] = 0
  else
    held = held + needed
    local admitted, by_key, which = { string.format('%.0f', number) }, {}, 0
    for task_at = first, last, 2 do
      which = which + 1
      local place, key = ARGV[task_at], keys[which]
      if key and known[key] then
        admitted[#admitted + 1] = which
        admitted[#admitted + 1] = known[key]
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
        payloads[#payloads + 1] = ARGV[task_at + 1]
        standing[#standing + 1] = now + (delays[which] or 0)
        standing[#standing + 1] = id
        standing[#standing + 1] = place
      end
    end
    tell('HSET', base .. ':keys', by_key)
    answer[#answer + 1] = admitted
  end
end
if #kept > 0 then
  news[#news + 1] = 'task'
  news[#news + 1] = string.format('%.0f', number - 1)
end
