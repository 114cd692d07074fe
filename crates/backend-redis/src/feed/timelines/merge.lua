-- ARGV[2]: what is to be merged.
-- Answers what it was merged into, as a window does.
if not header then
  return {}
end
if state ~= 'W' then
  return { header }
end
local before = redis.call('LRANGE', key, 0, -1)
redis.call('RPUSH', key, ARGV[2])
return before
