-- ARGV: how many actions to take back; and if the post must be somebody's, who, and the number of their note.
-- Answers the author, if there is one, and the number of their note, if nothing is left; then of each action
-- its kind, the actor, the item and the number of its note.
redis.call('HDEL', base, '') -- a write: so that full memory refuses none after it
local left, whose, noted = tonumber(ARGV[1]), ARGV[2], ARGV[3]
if whose ~= '' and author ~= whose then
  gone = math.max(gone, value_of(noted))
  close()
  return { '', noted }
end
local answer = { '', '' }
local function take(kind, actor, item, number)
  remove(kind, actor, item, number)
  for _, part in ipairs({ kind, actor, item, number }) do
    answer[#answer + 1] = part
  end
  left = left - 1
end
if left > 0 then
  local likes = redis.call('HRANDFIELD', LIKES, left, 'WITHVALUES')
  for at = 1, #likes, 2 do
    take('1', likes[at], '', likes[at + 1])
  end
end
if left > 0 then
  for _, reply in ipairs(redis.call('ZRANGE', REPLIES, 0, left - 1)) do
    take('2', string.sub(reply, 1, 8), string.sub(reply, 9, 16), string.sub(reply, 17))
  end
end
if left > 0 then
  local reposts = redis.call('HRANDFIELD', REPOSTS, left, 'WITHVALUES')
  for at = 1, #reposts, 2 do
    local repost = reposts[at + 1]
    take('3', reposts[at], string.sub(repost, 1, 8), string.sub(repost, 9))
  end
end
answer[1], answer[2] = close()
return answer
