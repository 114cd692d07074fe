
-- ARGV: how many retractions are kept, a post, and whether it is located here for certain.
-- Answers 0 if it was retracted before; -1 if it may be elsewhere, so nothing changed; -2 if it counts as
-- retracted; or else its line, which is empty if there was none, and the posts whose retraction is not
-- kept any more.
local bound, post, is_here = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local line = line_of(post)
if is_retracted(post) then
  return 0
elseif not line and is_here == '0' then
  return -1
elseif is_below_floor(post) and not line then
  return -2
end
redis.call('HEXISTS', BODIES, post)
redis.call('ZADD', RETRACTED, 0, post)
if line then
  redis.call('ZREM', LINES, line)
  redis.call('HDEL', BODIES, post)
end
local answer = { line or '' }
local surplus = redis.call('ZCARD', RETRACTED) - bound
for _ = 1, math.min(surplus, SURPLUS) do
  local smallest = redis.call('ZPOPMIN', RETRACTED)[1]
  redis.call('ZADD', FLOOR, 0, smallest)
  redis.call('ZREMRANGEBYRANK', FLOOR, 0, -2)
  answer[#answer + 1] = smallest
end
return answer
