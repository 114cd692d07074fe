-- KEYS[1]: an item. ARGV: the value that it must have, the one that it gets, and for how long, in
-- milliseconds. Answers whether it was stored.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
