-- ARGV: which mark is expected, empty for none, and what is to be there.
-- Answers 1, or what is there instead.
if mark ~= ARGV[1] then
  return mark
end
redis.call('SET', key, server .. ARGV[2])
return 1
