-- ARGV[6…]: for how long, then the id and token of each lease. Answers whether each was held.
local ids, held = {}, { 'GT' }
local until_when = string.format('%.0f', now + tonumber(ARGV[6]))
for at = 7, #ARGV, 2 do
  ids[#ids + 1] = ARGV[at]
end
answer = {}
for which, task in ipairs(read(base .. ':tasks', ids)) do
  local token = tonumber(ARGV[6 + 2 * which])
  answer[which] = 0
  if task and token > 0 and token == struct.unpack('>I8', task, 5) then
    answer[which] = 1
    held[#held + 1] = until_when
    held[#held + 1] = ids[which]
  end
end
if #held > 1 then
  tell('ZADD', base .. ':leased', held)
end
