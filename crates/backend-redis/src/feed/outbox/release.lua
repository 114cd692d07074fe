-- KEYS[1]: the location of a post. ARGV: the author who lets go of it.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 1
