-- ARGV: an author, and the wishes for them, empty if they are to stay.
-- Answers whether the edge is new, the edge, and what is owed.
local author, wishes = ARGV[1], tonumber(ARGV[2])
local edge = redis.call('HGET', FOLLOWEES, author)
if not edge then
  local number = next_number()
  edge = edge_of(2 + (wishes or 0), number, '', number)
  return { 1, edge, set_tie('F', author, edge, number) }
end
local flags, stamp, pulled_until = parts(edge)
local route = flags % 4
if wishes and flags ~= route + wishes then
  local number = next_number()
  edge = edge_of(route + wishes, stamp, pulled_until, number)
  return { 0, edge, set_tie('F', author, edge, number) }
end
return { 0, edge, owed('F', author) }
