-- ARGV: the author, the number of their note if there is one, then of each action its kind, the actor, the
-- item and the number of the note.
-- Answers above what all numbers must be, if one of them is not: what a note is of use for may have been
-- taken back already, and the note with it. Or 0 if the author has to note it first. Or of each action
-- whose place is taken the item that is there.
local noted = ARGV[2]
for at = 6, #ARGV, 4 do
  if value_of(ARGV[at]) <= gone then
    return string.format('%.0f', gone)
  end
end
if not author then
  if noted == '' then
    return 0
  elseif value_of(noted) <= gone then
    return string.format('%.0f', gone)
  end
  author, note = ARGV[1], noted
  redis.call('HSET', base, 'author', author .. note)
  redis.call('PERSIST', base)
elseif noted ~= '' and author == ARGV[1] and later(noted, note) ~= note then
  redis.call('HSET', base, 'author', author .. noted)
end

local answer = {}
for at = 3, #ARGV, 4 do
  local kind, actor, item, number = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local found, there = find(kind, actor, item)
  if not found then
    put(kind, actor, item, number)
    answer[#answer + 1] = ''
  else
    if there == item and later(number, found) ~= found then
      if kind == '2' then
        redis.call('ZREM', REPLIES, actor .. item .. found)
      end
      put(kind, actor, item, number)
    end
    answer[#answer + 1] = there
  end
end
return answer
