-- ARGV[2…]: the generation of a build; what it has read.
-- Answers whether it was the timeline's.
if state ~= 'B' or generation ~= ARGV[2] then
  return 0
end
redis.call('LSET', key, 0, 'W' .. string.sub(header, 2))
redis.call('RPUSH', key, ARGV[3])
return 1
