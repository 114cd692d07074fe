-- ARGV: users. Answers the last version, and of each the record, empty for none.
local records = redis.call('HMGET', users, unpack(ARGV))
for at = 1, #ARGV do
  records[at] = records[at] or ''
end
return { server, redis.call('HGET', base, 'last') or '0', records }
