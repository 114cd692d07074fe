-- Answers the list of a warm timeline, the header of one that is being built, nothing of a cold one.
if not header then
  return {}
end
keep()
if state ~= 'W' then
  return { header }
end
return redis.call('LRANGE', key, 0, -1)
