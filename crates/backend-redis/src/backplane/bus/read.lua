-- ARGV[4…]: the epoch after a position of which to read, or none; its offset; how many messages; how
-- many bytes.
-- Answers the epoch, the top, then of each message its offset and its payload.
local since, after = ARGV[4], tonumber(ARGV[5])
local most, room = tonumber(ARGV[6]), tonumber(ARGV[7])
local answer = { epoch, text(top) }
if most == 0 or (since ~= '' and since ~= epoch) or after > top then
  return answer
end
expire_messages(1000)
local messages = redis.call('XRANGE', HISTORY, text(after + 1) .. '-0', '+', 'COUNT', most)
for at, message in ipairs(messages) do
  local payload = message[2][4]
  room = room - #payload
  if room < 0 and at > 1 then
    break
  end
  answer[#answer + 1] = string.match(message[1], '^%d+')
  answer[#answer + 1] = payload
end
return answer
