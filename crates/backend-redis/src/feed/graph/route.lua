-- KEYS: the routes of some authors. ARGV: one of them, the stamp that the caller has seen, empty if any route
-- will do, the kind of route and the post up to which it is pulled, if there is one.
-- Answers the new stamp, empty if nothing changed.
--
-- A route is its kind, its stamp and that post. An author who has none has the stamp 0.
local routes, author, seen, route, pulled_until = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local found = redis.call('HGET', routes, author)
local stamp = found and string.sub(found, 2, 9) or struct.pack('>I8', 0)
if seen ~= stamp and (seen ~= '' or not found) then
  return ''
end
if seen == '' then
  redis.call('HDEL', routes, '') -- a write: so that full memory does not keep a user from being erased
end
local time = redis.call('TIME')
local value = math.max(struct.unpack('>I8', stamp) + 1, time[1] * 1000000 + time[2])
stamp = struct.pack('>I8', value)
redis.call('HSET', routes, author, string.char(tonumber(route)) .. stamp .. pulled_until)
return stamp
