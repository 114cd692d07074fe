-- ARGV: an author, and the wishes for them, empty if they are to stay.
-- Answers whether the edge is new, the edge, and what is owed.
local author, wishes = ARGV[1], tonumber(ARGV[2])
local edge = redis.call('HGET', FOLLOWEES, author)
local is_new = not edge
if is_new then
  local number = next_number()
  edge = edge_of(2 + (wishes or 0), number, '', number)
  set_tie('F', author, edge, number)
else
  local flags, stamp, pulled_until = parts(edge)
  local route = flags % 4
  if wishes and flags ~= route + wishes then
    local number = next_number()
    edge = edge_of(route + wishes, stamp, pulled_until, number)
    set_tie('F', author, edge, number)
  end
end
return { is_new and 1 or 0, edge, owed('F', author) }
