-- ARGV: of each action that is there no more its kind, the post, the item, and the number up to which notes
-- of it are of no use.
for at = 1, #ARGV, 4 do
  local kind, post, item, upto = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local number, member = noted(kind, post, item)
  if number and value_of(number) <= value_of(upto) then
    if member then
      redis.call('ZREM', MADE, member)
    else
      redis.call('HDEL', BY_POST[kind], post)
    end
  end
end
return 1
