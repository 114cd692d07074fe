-- Answers how many tasks are ready, waiting, leased and dead, how long the oldest has been ready, and
-- how long until a task is due, nothing where there is none; and whether more was due than one script ends.
local function first(set)
  return tonumber(redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')[2] or 'inf')
end
local oldest, next_due = first(READY), math.min(first(WAITING), first(LEASED))
local is_late = next_due <= now
if oldest < math.huge then
  next_due = now
end
local function since(at)
  return at < math.huge and text(now - at) or ''
end
return {
  redis.call('ZCARD', READY),
  redis.call('ZCARD', WAITING),
  redis.call('ZCARD', LEASED),
  redis.call('ZCARD', DEAD),
  since(oldest),
  next_due < math.huge and text(math.max(next_due - now, 0)) or '',
  is_late and 1 or 0,
}
