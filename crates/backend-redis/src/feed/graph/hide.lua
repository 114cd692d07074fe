-- ARGV: B or M, and the other user. Answers whether that is new, and what is owed.
local kind, other = ARGV[1], ARGV[2]
if tie_to(kind, other) then
  return { 0, owed(kind, other) }
end
local number = next_number()
return { 1, set_tie(kind, other, number, number) }
