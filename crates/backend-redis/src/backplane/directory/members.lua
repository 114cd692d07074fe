-- ARGV: an epoch. Answers { epoch } if that is it, or { epoch, { name, node, … } }.
local current = string.format('%.0f', epoch)
if current == ARGV[1] then
  return { current }
end
return { current, redis.call('HGETALL', nodes) }
