-- ARGV: the owner of a list that this user is to be in, with the list, and the number of that change.
-- Answers nothing of use.
redis.call('ZADD', LISTED, 'GT', text(value_of(ARGV[2])), ARGV[1])
return 1
