-- ARGV: an epoch. Answers { now, epoch }, and if it is another also { …, the last token, { name, node, … },
-- { token, when it was renewed last, … }, { part, server, … } }.
local epoch = redis.call('HGET', known, 'epoch') or ''
local now = string.format('%.0f', now)
if epoch == ARGV[1] then
  return { now, epoch }
end
return {
  now,
  epoch,
  redis.call('HGET', known, 'token') or '0',
  redis.call('HGETALL', nodes),
  redis.call('ZRANGE', ended, 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', servers),
}
