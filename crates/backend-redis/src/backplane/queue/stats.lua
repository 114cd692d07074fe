-- Answers how many tasks are ready, waiting, leased and dead, how long the oldest has been ready, and
-- how long until a task is due, nothing where there is none; and whether more was due than one script ends.
local firsts = {}
answer = {}
for at, set in ipairs({ ':ready', ':waiting', ':leased', ':dead' }) do
  answer[at] = redis.call('ZCARD', base .. set)
  firsts[at] = tonumber(redis.call('ZRANGE', base .. set, 0, 0, 'WITHSCORES')[2] or 'inf')
end
local next_due = math.min(firsts[2], firsts[3])
answer[5], answer[6], answer[7] = '', '', next_due <= now and 1 or 0
if firsts[1] < math.huge then
  answer[5] = string.format('%.0f', now - firsts[1])
  next_due = now
end
if next_due < math.huge then
  answer[6] = string.format('%.0f', math.max(next_due - now, 0))
end
