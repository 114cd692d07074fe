-- ARGV: B or M, and the other user. Answers whether that is new, and what is owed.
local kind, other = ARGV[1], ARGV[2]
local is_new = not tie_to(kind, other)
if is_new then
  local number = next_number()
  set_tie(kind, other, number, number)
end
return { is_new and 1 or 0, owed(kind, other) }
