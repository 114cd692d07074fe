-- ARGV: viewers. Answers how many changes are pending, then, if the author is hidden from anybody at all,
-- of each viewer whether it is from them.
local SOME = 1000 * 8
local answer = { redis.call('HLEN', PENDING) }
if redis.call('EXISTS', TIES, MUTED_BY) == 0 then
  return answer
end
for from = 1, #ARGV[1], SOME do
  local some = string.sub(ARGV[1], from, from + SOME - 1)
  local viewers, blocks = {}, {}
  for at = 1, #some, 8 do
    local viewer = string.sub(some, at, at + 7)
    viewers[#viewers + 1] = viewer
    blocks[#blocks + 1] = 'B' .. viewer
    blocks[#blocks + 1] = 'b' .. viewer
  end
  local blocked = redis.call('HMGET', TIES, unpack(blocks))
  local muted = redis.call('ZMSCORE', MUTED_BY, unpack(viewers))
  for n = 1, #viewers do
    local hidden = blocked[2 * n - 1] or blocked[2 * n] or muted[n]
    answer[#answer + 1] = hidden and 1 or 0
  end
end
return answer
