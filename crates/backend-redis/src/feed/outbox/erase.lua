
-- ARGV: posts, which are forgotten; so are all keys, and the floor. Answers how many posts there were.
local erased = 0
for _, post in ipairs(ARGV) do
  local line = line_of(post)
  if line then
    redis.call('ZREM', LINES, line)
    redis.call('HDEL', BODIES, post)
    erased = erased + 1
  else
    erased = erased + redis.call('ZREM', RETRACTED, post)
  end
end
redis.call('UNLINK', BY_KEY, ORDER, FLOOR)
return erased
