-- ARGV: the kind of a tie, the other user, and 1 if there may be a copy that has lost its tie.
-- Answers whether there was one, and what is owed.
local kind, other, orphan = ARGV[1], ARGV[2], ARGV[3]
local was_there = tie_to(kind, other)
if was_there or orphan == '1' then
  return { was_there and 1 or 0, cut_tie(kind, other) }
end
return { 0, owed(kind, other) }
