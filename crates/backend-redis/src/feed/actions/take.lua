-- ARGV: of each action its kind, the actor, the item, and the number of a note of it, if there is one.
-- Answers the author, if there is one, and the number of their note, if nothing is left; then of each action
-- that was there the number of its note.
redis.call('HDEL', base, '') -- a write: so that full memory refuses none after it
local answer = { '', '' }
for at = 1, #ARGV, 4 do
  local kind, actor, item, noted = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local number, there = find(kind, actor, item)
  if number and there == item then
    remove(kind, actor, item, number)
    answer[#answer + 1] = number
  else
    answer[#answer + 1] = ''
  end
  if noted ~= '' then
    gone = math.max(gone, value_of(noted))
  end
end
answer[1], answer[2] = close()
return answer
