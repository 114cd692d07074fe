-- ARGV: the node, its token. Answers whether it was held.
if not is_held(ARGV[1], ARGV[2]) then
  return 0
end
finish(ARGV[1])
next_number('epoch')
return 1
