-- ARGV[6…]: an id, or '-inf', and how many. Answers of each its id, the task, its payload and its reason.
local ids = redis.call('ZRANGEBYSCORE', base .. ':dead', ARGV[6], '+inf', 'LIMIT', 0, ARGV[7])
local found = { ids, read(base .. ':tasks', ids), read(base .. ':payloads', ids), read(base .. ':reasons', ids) }
answer = {}
for at = 1, #ids do
  for _, parts in ipairs(found) do
    answer[#answer + 1] = parts[at]
  end
end
