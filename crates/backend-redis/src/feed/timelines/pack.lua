-- KEYS[1]: the list of a timeline, to whose end others push meanwhile.
-- ARGV: its header, as it was read; how many elements were read beside it; the header and the element that
-- take their place.
-- Answers whether the header was still the same, and so all that was read still there.
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[1] then
  return 0
end
redis.call('LTRIM', KEYS[1], ARGV[2], -1)
redis.call('LSET', KEYS[1], 0, ARGV[4])
redis.call('LPUSH', KEYS[1], ARGV[3])
return 1
