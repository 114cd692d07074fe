-- ARGV[6…]: ids. Answers how many were dead.
answer, kept, standing = 0, {}, {}
local redriven = {}
leaving[':dead'] = redriven
local ids = { unpack(ARGV, 6) }
for at, task in ipairs(read(base .. ':tasks', ids)) do
  local id = ids[at]
  if redis.call('ZREM', base .. ':dead', id) == 1 then
    answer = answer + 1
    redriven[#redriven + 1] = id
    kept[#kept + 1] = id
    kept[#kept + 1] = struct.pack('>I4', 0) .. string.sub(task, 5)
    standing[#standing + 1] = now
    standing[#standing + 1] = id
    standing[#standing + 1] = struct.unpack('Bc0', task, 19)
  end
end
