-- A write: where memory is full, the first of a script is refused, and none after it.
redis.call('HDEL', base, '')
