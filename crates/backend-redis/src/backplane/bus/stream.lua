-- The stream of a topic, which begins anew on a server that may have lost the end of it: one that was
-- started since, or was another's replica. What follows is one of the other files.
--
-- KEYS[1] is what the names of all its keys begin with, and its channel.
--   …           hash: epoch, top, and the server that it was written on, by its replication id
--   …:history   stream: the newest messages, by offset; t when, p payload
--   …:keys      hash: of each idempotency key its offset and when it was published
--   …:order     sorted set: idempotency keys by offset
-- Times are milliseconds of the server's clock.
--
-- ARGV begins with the epoch that a new stream takes, for how long a topic is kept, and a message.
local base = KEYS[1]
local new_epoch, topic_ttl, message_ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local HISTORY, BY_KEY, ORDER = base .. ':history', base .. ':keys', base .. ':order'

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local known = redis.call('HMGET', base, 'epoch', 'top', 'server')
local epoch, top = known[1], tonumber(known[2] or '0')
if not epoch or known[3] ~= server then
  epoch, top = new_epoch, 0
  -- First: where memory is full, nothing is refused any more after another write.
  redis.call('HSET', base, 'epoch', epoch, 'top', 0, 'server', server)
  redis.call('DEL', HISTORY, BY_KEY, ORDER)
end

-- All digits, which a number alone does not keep when it becomes text.
local function text(number)
  return string.format('%.0f', number)
end

-- Drops up to so many messages that are too old. One is looked at that is not.
local function expire_messages(most)
  for _ = 1, most do
    local message = redis.call('XRANGE', HISTORY, '-', '+', 'COUNT', 1)[1]
    if not message or tonumber(message[2][2]) + message_ttl > now then
      break
    end
    redis.call('XDEL', HISTORY, message[1])
  end
end

