
-- ARGV: a post and its new body. Answers the version, 0 if the post was retracted, -1 if it is not here.
local post, body = ARGV[1], ARGV[2]
local line = line_of(post)
if not line then
  return is_retracted(post) and 0 or -1
end
redis.call('HEXISTS', BODIES, post)
local version = math.min(struct.unpack('>I4', line, 9) + 1, 4294967295)
local revised = string.sub(line, 1, 8) .. struct.pack('>I4', version) .. string.sub(line, 13)
redis.call('ZADD', LINES, 0, revised)
if revised ~= line then
  redis.call('ZREM', LINES, line)
end
if body == '' then
  redis.call('HDEL', BODIES, post)
else
  redis.call('HSET', BODIES, post, body)
end
return version
