-- KEYS[1]: the location of a post. ARGV: an author of 8 bytes, and a mark.
-- Unless another author has the post, it is this one's, under the new mark. Answers 1 if nobody had it, 0 if
-- they did, or else the other's location.
local had = redis.call('GET', KEYS[1])
if had and string.sub(had, 1, 8) ~= string.sub(ARGV[1], 1, 8) then
  return had
end
redis.call('SET', KEYS[1], ARGV[1])
return had and 0 or 1
