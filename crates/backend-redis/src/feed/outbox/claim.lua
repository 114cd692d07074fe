-- KEYS[1]: the location of a post. ARGV: an author, to whom it goes unless another has it.
-- Answers 1 if it does so now, or else who has it.
if redis.call('SET', KEYS[1], ARGV[1], 'NX') then
  return 1
end
return redis.call('GET', KEYS[1])
