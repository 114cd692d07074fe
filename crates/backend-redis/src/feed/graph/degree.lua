-- Answers how many followers there are, how many followees, and how many changes are pending.
return { redis.call('ZCARD', FOLLOWERS), redis.call('HLEN', FOLLOWEES), redis.call('HLEN', PENDING) }
