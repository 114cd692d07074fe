-- ARGV[4…]: the epoch after a position of which to read, or none; its offset; how many messages; how
-- many bytes.
-- Answers the epoch, the top, then of each message its offset and its payload.
local since, after = ARGV[4], tonumber(ARGV[5])
local most, room = tonumber(ARGV[6]), tonumber(ARGV[7])
local SLICE = 10 -- a message that is not asked for is read for nothing, and may be large
local answer = { epoch, text(top) }
redis.call('PEXPIRE', base, topic_ttl)
if most == 0 or (since ~= '' and since ~= epoch) or after >= top then
  return answer
end
expire_messages(1000)
while most > 0 do
  local count = math.min(most, SLICE)
  local messages = redis.call('XRANGE', HISTORY, text(after + 1) .. '-0', '+', 'COUNT', count)
  for _, message in ipairs(messages) do
    local offset, payload = string.match(message[1], '^%d+'), message[2][4]
    room = room - #payload
    if room < 0 and #answer > 2 then
      return answer
    end
    answer[#answer + 1] = offset
    answer[#answer + 1] = payload
    after = tonumber(offset)
  end
  most = #messages < count and 0 or most - count
end
return answer
