-- ARGV: the node, its token, its state and its weight, each empty if it stays.
-- Answers whether the membership was held.
local name, state, weight = ARGV[1], ARGV[3], ARGV[4]
local node = is_held(name, ARGV[2])
if not node then
  return 0
end
if state == '' then
  state = string.sub(node, 41, 41)
end
if weight == '' then
  weight = string.sub(node, 42, 51)
end
local changed = string.sub(node, 1, 40) .. state .. weight .. string.sub(node, 52)
if changed ~= node then
  redis.call('HDEL', nodes, '') -- a write: so that full memory refuses none after it
  redis.call('HSET', nodes, name, changed)
  turn()
end
return 1
