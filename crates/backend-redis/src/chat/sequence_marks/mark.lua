-- A mark, which is none on a server that may have an older one: one that was started since, or was another's
-- replica, or was handed its slot. What follows is one of the other files.
-- KEYS: a string: the replication id of the server that it was written on, 40; and the mark.
local key = KEYS[1]
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local found = redis.call('GET', key)
if found and #found ~= 72 then
  return redis.error_reply('ERR not a mark')
end
local mark = found and string.sub(found, 1, 40) == server and string.sub(found, 41) or ''
