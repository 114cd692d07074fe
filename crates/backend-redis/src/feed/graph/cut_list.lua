-- ARGV: how many. Takes so many members out of one of the lists.
-- Answers the list, who they were, and the number of the change; nothing if there is no list.
local list = redis.call('HRANDFIELD', LISTS)
if not list then
  return {}
end
redis.call('HDEL', base, '') -- a write: so that full memory refuses none after it
local members = redis.call('HGET', LISTS, list)
local kept = string.sub(members, 1, -tonumber(ARGV[1]) * 8 - 1)
local number = next_number()
put_list(list, kept, number)
return { list, string.sub(members, #kept + 1), number }
