-- ARGV: an author, the number of the edge as it was seen when nothing was pending, empty if there was none,
-- and that of the copy that was found afterwards.
-- If the edge is as it was seen, a change to it, or to its copy, was lost: then the viewer pulls until fanout
-- has settled the edge again, and a copy without an edge is taken away. Answers what is owed.
local author, seen, copied = ARGV[1], ARGV[2], value_of(ARGV[3])
local edge = redis.call('HGET', FOLLOWEES, author)
local flags, number, _ = 0, ''
if edge then
  flags, _, _, number = parts(edge)
end
if number == seen and redis.call('HEXISTS', PENDING, 'F' .. author) == 0 then
  if edge then
    number = next_number(math.max(value_of(number), copied))
    return { set_tie('F', author, edge_of(flags - flags % 4 + 2, number, '', number), number) }
  end
  return { cut_tie('F', author, copied) }
end
return { owed('F', author) }
