
-- ARGV: how many keys are kept; then of each item whether its post is located here, its line, its key
-- and its body. Answers of each the post that has its key; or whether it was retracted (0), is stored
-- (1), was live already (2), counts as retracted (3), or is located elsewhere (4).
local bound = tonumber(ARGV[1])

local function remember(key, post)
  redis.call('HSET', BY_KEY, key, post)
  local surplus = redis.call('RPUSH', ORDER, key) - bound
  for _ = 1, math.min(surplus, SURPLUS) do
    redis.call('HDEL', BY_KEY, redis.call('LPOP', ORDER))
  end
end

local function publish(is_here, line, key, body)
  local post = string.sub(line, 1, 8)
  local known = key ~= '' and redis.call('HGET', BY_KEY, key)
  if known then
    return known
  elseif is_here == '0' then
    return 4
  elseif line_of(post) then
    return 2
  elseif is_retracted(post) then
    return 0
  elseif is_below_floor(post) then
    return 3
  end
  if body ~= '' then
    redis.call('HEXISTS', BODIES, post)
  end
  if key ~= '' then
    redis.call('LLEN', ORDER)
    remember(key, post)
  end
  if body ~= '' then
    redis.call('HSET', BODIES, post, body)
  end
  redis.call('ZADD', LINES, 0, line)
  return 1
end

local answers = {}
for at = 2, #ARGV, 4 do
  answers[#answers + 1] = publish(unpack(ARGV, at, at + 3))
end
return answers
