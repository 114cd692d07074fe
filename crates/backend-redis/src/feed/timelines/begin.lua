-- ARGV[2…]: the header of a new build but for the server; the time before which a build is stale.
-- Answers what there is of the timeline: nothing but this build, another, or all of it.
if state == 'W' then
  return 'warm'
end
if state == 'B' then
  if generation == string.sub(ARGV[2], 2, 17) then
    return 'started' -- the client has sent this twice
  end
  if tonumber(string.sub(header, 42, 57)) >= tonumber(ARGV[3]) then
    return 'underway'
  end
end
if redis.call('EXISTS', key) == 1 then
  redis.call('DEL', key) -- Redis takes more into a full memory once a script has written
end
redis.call('RPUSH', key, ARGV[2] .. server)
keep()
return 'started'
