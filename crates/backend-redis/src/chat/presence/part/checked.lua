-- ARGV: the epoch of the leases in which all those were held that were here at a turn, and that turn.
if (redis.call('HGET', base, 'turn') or '0') == ARGV[2] then
  redis.call('HSET', base, 'checked', ARGV[1])
end
return 1
