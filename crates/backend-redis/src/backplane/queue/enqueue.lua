-- ARGV[7…]: how many tasks may wait or be leased, how many dead letters are held besides; then of each
-- task its payload, lane, class, delay and key, which begins with a byte that says whether there is one.
-- Answers whether each is new, and its id; 0 if there is no room now, and 1 if there never is so much.
local capacity, dead_letters = tonumber(ARGV[7]), tonumber(ARGV[8])
local needed, seen = 0, {}
for at = 9, #ARGV, 5 do
  local key = ARGV[at + 4]
  if key == '' then
    needed = needed + 1
  elseif not seen[key] and redis.call('HEXISTS', BY_KEY, string.sub(key, 2)) == 0 then
    needed = needed + 1
    seen[key] = true
  end
end
if needed > capacity then
  return 1
end
local live = redis.call('ZCARD', READY) + redis.call('ZCARD', WAITING) + redis.call('ZCARD', LEASED)
local crowded_out = math.max(redis.call('ZCARD', DEAD) - dead_letters, 0)
if needed > 0 and live + crowded_out + needed > capacity then
  return 0
end

local admitted = {}
for at = 9, #ARGV, 5 do
  local payload, lane, class, delay, key = unpack(ARGV, at, at + 4)
  key = key ~= '' and string.sub(key, 2)
  local known = key and redis.call('HGET', BY_KEY, key)
  if known then
    admitted[#admitted + 1] = 0
    admitted[#admitted + 1] = known
  else
    local id = add(payload, lane, class, tonumber(delay))
    if key then
      redis.call('HSET', task_of(id), 'k', key)
      redis.call('HSET', BY_KEY, key, id)
    end
    admitted[#admitted + 1] = 1
    admitted[#admitted + 1] = id
  end
end
return admitted
