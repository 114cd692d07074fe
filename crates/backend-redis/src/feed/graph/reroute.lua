-- ARGV: an author, a stamp, the kind of route and the post up to which it is pulled, if there is one.
-- Answers the edge and what is owed. Or, if nothing changed, nothing, the number of the edge, which is empty
-- if there is none, and what is owed.
local author, seen, route, pulled_until = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local edge = redis.call('HGET', FOLLOWEES, author)
local flags, stamp, _, last = 0, '', '', ''
if edge then
  flags, stamp, _, last = parts(edge)
end
if seen ~= stamp then
  return { '', last, owed('F', author) }
end
local number = next_number()
edge = edge_of(flags - flags % 4 + route, number, pulled_until, number)
return { edge, set_tie('F', author, edge, number) }
