-- ARGV[6…]: parts, of each how many leases it is about, and of each lease what becomes of the task, its id and
-- its token; and unless that is 'ack', a delay, and a payload or reason.
-- Answers of each part of each lease whether it was lost (0), settled as asked (1), or buried although it was
-- to be tried again (2).
local ids, tasks, at = {}, {}, 6
while ARGV[at] do
  local count = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do
    ids[#ids + 1] = ARGV[at + 1]
    at = at + (ARGV[at] == 'ack' and 3 or 5)
  end
end
for which, task in ipairs(read(base .. ':tasks', ids)) do
  tasks[ids[which]] = task
end

answer, finished, at = {}, {}, 6
local ended = {}
leaving[':leased'] = ended
while ARGV[at] do
  local outcomes, count = {}, tonumber(ARGV[at])
  answer[#answer + 1] = outcomes
  at = at + 1
  for which = 1, count do
    local how, id, token = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
    local task = tasks[id]
    if not task or token == 0 or token ~= struct.unpack('>I8', task, 5) then
      outcomes[which] = 0
    else
      tasks[id] = false
      outcomes[which] = 1
      ended[#ended + 1] = id
      if how == 'ack' then
        finished[#finished + 1] = id
        finished[#finished + 1] = task
      else
        local attempts, delay, extra = struct.unpack('>I4', task), tonumber(ARGV[at + 3]), ARGV[at + 4]
        if how == 'retry' and attempts >= tonumber(ARGV[1]) then
          outcomes[which] = 2
        end
        if how == 'bury' or outcomes[which] == 2 then
          buried = buried or {}
          for _, part in ipairs({ id, task, how == 'bury' and 'b' or 'f', wall, extra }) do
            buried[#buried + 1] = part
          end
        else
          kept, standing = kept or {}, standing or {}
          if how == 'continue' then
            attempts = 0
            payloads = payloads or {}
            payloads[#payloads + 1] = id
            payloads[#payloads + 1] = extra
          elseif how == 'release' then
            attempts = attempts - 1
          end
          kept[#kept + 1] = id
          kept[#kept + 1] = struct.pack('>I4I8', attempts, 0) .. string.sub(task, 13)
          standing[#standing + 1] = now + delay
          standing[#standing + 1] = id
          standing[#standing + 1] = struct.unpack('Bc0', task, 19)
        end
      end
    end
    at = at + (how == 'ack' and 3 or 5)
  end
end
