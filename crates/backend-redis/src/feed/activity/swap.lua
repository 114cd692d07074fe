-- KEYS: a user. ARGV: a field, what the caller has seen there, empty if nothing, and what is to be there.
-- Answers 1, or what is there instead.
local found = redis.call('HGET', KEYS[1], ARGV[1])
if (found or '') ~= ARGV[2] then
  return found
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
