-- ARGV: the node, its token. Answers whether it was held.
if not is_held(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HDEL', nodes, ARGV[1])
redis.call('ZREM', ends, ARGV[1])
turn()
return 1
