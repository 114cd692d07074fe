-- ARGV[6…]: ids. Answers how many were dead.
answer, kept, ready, places, undead = 0, {}, {}, {}, {}
local ids = { unpack(ARGV, 6) }
for at, task in ipairs(read(base .. ':tasks', ids)) do
  local id = ids[at]
  if redis.call('ZREM', base .. ':dead', id) == 1 then
    answer = answer + 1
    undead[#undead + 1] = id
    kept[#kept + 1] = id
    kept[#kept + 1] = struct.pack('>I4', 0) .. string.sub(task, 5)
    ready[#ready + 1] = NOW
    ready[#ready + 1] = id
    places[#places + 1] = struct.unpack('Bc0', task, 19)
  end
end
