-- KEYS[1]: the location of a post. ARGV: what it begins with if it is to go.
local had = redis.call('GET', KEYS[1])
if had and string.sub(had, 1, #ARGV[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
