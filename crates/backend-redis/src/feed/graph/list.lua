-- A change of one of the lists. What follows is one of the other files.

-- The number of the last change of a list, or of any that had nobody then, if there was one since.
local function changed(list)
  local number = redis.call('HGET', base, list) or redis.call('HGET', base, 'emptied')
  return number and value_of(number) or 0
end

-- Lists that have nobody share a number, so that there are no more numbers than lists.
local function put_list(list, members, number)
  if members ~= '' then
    redis.call('HSET', LISTS, list, members)
    redis.call('HSET', base, list, number)
    return
  end
  redis.call('HDEL', LISTS, list)
  redis.call('HDEL', base, list)
  local emptied = redis.call('HGET', base, 'emptied')
  if not emptied or value_of(emptied) < value_of(number) then
    redis.call('HSET', base, 'emptied', number)
  end
end

