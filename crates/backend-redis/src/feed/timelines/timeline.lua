-- A timeline, which is cold on a server that may have lost the end of it: one that was started since, or
-- was another's replica, or was handed its slot. What follows is one of the other files.
--
-- KEYS[1] is a list: a header, then what happened, in this order.
-- The header: the state, B (building) or W (warm); the generation, 16 hexadecimal digits; how often the list
-- was packed, 8; the floor, 16; when the build began, 16 decimal digits; the replication id of the server
-- that it began on, 40.
local key = KEYS[1]
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local header = redis.call('LINDEX', key, 0)
if header and (#header ~= 97 or string.sub(header, 58) ~= server) then
  header = false
end
local state = header and string.sub(header, 1, 1)
local generation = header and string.sub(header, 2, 17)

-- ARGV[1]: for how many milliseconds a timeline is kept that nobody reads, or 0.
local ttl = tonumber(ARGV[1])

-- Redis writes each change of a TTL to its replicas, so few reads make one. Where it takes no writes, as when a
-- replica is missing that it must have, a reader has the timeline all the same.
local function keep()
  if ttl > 0 and redis.call('PTTL', key) < ttl * 3 / 4 then
    redis.pcall('PEXPIRE', key, ttl)
  end
end
