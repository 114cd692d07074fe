-- Notes on which servers parts of the users were found. Where one was known to be on another server, reports may be
-- lost that were acknowledged: so all leases end, and the nodes report anew.
-- ARGV: of each part its number, the server that it was known to be on, empty for none, and the one that it is on.
local is_changed, is_lost = false, false
redis.call('HDEL', servers, '') -- a write: so that full memory refuses none after it
for at = 1, #ARGV, 3 do
  local part, former, server = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if string.sub(redis.call('HGET', servers, part) or '', 1, 40) == former then
    redis.call('HSET', servers, part, server .. string.format('%.0f', now))
    is_changed = true
    is_lost = is_lost or former ~= ''
  end
end
if is_lost then
  for _, name in ipairs(redis.call('HKEYS', nodes)) do
    finish(name)
  end
end
if is_changed then
  next_number('epoch')
end
return is_lost and 1 or 0
