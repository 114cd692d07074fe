-- What every script of a queue begins with: it ends the delays and leases that have passed. Then comes one of
-- the other files, and `save.lua`. There are few functions, since each would be made anew at each call.
--
-- KEYS[1] is what the names of all its keys begin with; they share its hash tag. A class is a priority, the
-- highest is 0; a place is a class and a lane, P:L.
--   …           hash: `now`, the last time; `task` and `token`, the last numbers; `due`, before which nothing
--               ends; `passed:P`, how often a class was passed over; `server`, that told of losses last
--   …:tasks     hash, by id: attempts, 4 bytes; the token of the lease or 0, 8 bytes; when the task was
--               enqueued, 6 bytes; the length of its place, 1 byte; its place; its key behind a '+', if any
--   …:payloads  hash, by id
--   …:reasons   hash, by id: of a dead letter its cause, 1 byte; when it died, 6 bytes; and the reason
--   …:line:P:L  list: the ready tasks of a place, in the order in which they became due
--   …:ring:P    list: the places of a class that have a line, in the order of their turns
--   …:ready, …:waiting, …:leased
--               sorted sets: tasks by since when, until when
--   …:dead      sorted set: dead letters by id
--   …:keys      hash: the task of each deduplication key
--   …:settled   sorted set: L:key, of a task that is gone, by when it is forgotten
-- Times are microseconds of the server's clock, which stands still for the queue while it is set back; those
-- for people are milliseconds.
--
-- ARGV begins with: how many attempts there are, for how long keys are remembered, and how many; then of
-- the task that tells of a loss its payload and place, or nothing.

-- How many arguments a command is given at once. Lua can pass less than 8,000.
local MANY = 4000

-- How much of each kind one script ends.
local SLICE = 1000

-- For how long it is believed that the server has lost nothing.
local TRUST = 100000

local is_changed = false

-- A command about many things of a key, if there are any. Answers what it answered last.
local function tell(command, key, parts)
  local answer
  for at = 1, parts and #parts or 0, MANY do
    is_changed = true
    answer = redis.call(command, key, unpack(parts, at, math.min(at + MANY - 1, #parts)))
  end
  return answer
end

-- The fields of a hash.
local function read(key, fields)
  local values = {}
  for at = 1, #fields, MANY do
    for _, value in ipairs(redis.call('HMGET', key, unpack(fields, at, math.min(at + MANY - 1, #fields)))) do
      values[#values + 1] = value
    end
  end
  return values
end

if redis.replicate_commands then
  redis.replicate_commands() -- what Redis 6 needs to write after it has read the time
end
local base = KEYS[1]
local numbers = redis.call('HMGET', base, 'now', 'due', 'task', 'token', 'passed:1', 'passed:2')
local time = redis.call('TIME')
local wall = time[1] * 1000 + math.floor(time[2] / 1000)
local now = math.max(time[1] * 1000000 + time[2], tonumber(numbers[1] or 0))
local due = tonumber(numbers[2] or 0)

-- All digits, which a number alone does not keep when it becomes text.
local NOW = string.format('%.0f', now)

-- What `save.lua` does, where there is such a list. No task enters and leaves one set at once.
--   kept, payloads  id, task; id, payload
--   standing        since or until when, id, place
--   leased          until when, id
--   buried          id, task, cause, when, reason
--   finished        id, task
--   leaving         by the end of its name, who leaves a sorted set
local kept, payloads, standing, leased, buried, finished
local leaving = {}

-- Whether the key of a finished task is remembered, which keys are not any more, and what the hash of the
-- queue is to hold.
local remembers, forgotten, news = true, {}, {}

local answer

for step = now >= due and 1 or 2, 2 do
  if step == 1 then
    local ended, ids, all_until = {}, {}, now
    for which, set in ipairs({ ':waiting', ':leased' }) do
      local found = redis.call('ZRANGEBYSCORE', base .. set, '-inf', NOW, 'WITHSCORES', 'LIMIT', 0, SLICE)
      if #found == 2 * SLICE then
        -- There may be more of the last moment, which go next time; unless there is no other moment.
        local first, last = tonumber(found[2]), tonumber(found[#found])
        all_until = math.min(all_until, first < last and last - 1 or last)
      end
      for at = 1, #found, 2 do
        ids[#ids + 1] = found[at]
        ended[#ended + 1] = { found[at], tonumber(found[at + 1]), which == 2, #ended }
      end
    end
    for at, task in ipairs(read(base .. ':tasks', ids)) do
      ended[at].task = task
    end
    table.sort(ended, function(one, other)
      return one[2] < other[2] or one[2] == other[2] and one[4] < other[4]
    end)
    local woken, ended_leases = {}, {}
    kept, standing, buried = {}, {}, {}
    leaving = { [':waiting'] = woken, [':leased'] = ended_leases }
    for _, one in ipairs(ended) do
      local id, at, was_leased, task = one[1], one[2], one[3], one.task
      if at > all_until then
        break
      end
      local left = was_leased and ended_leases or woken
      left[#left + 1] = id
      if was_leased and struct.unpack('>I4', task) >= tonumber(ARGV[1]) then
        for _, part in ipairs({ id, task, 'x', wall - math.floor((now - at) / 1000), '' }) do
          buried[#buried + 1] = part
        end
      else
        if was_leased then
          kept[#kept + 1] = id
          kept[#kept + 1] = string.sub(task, 1, 4) .. struct.pack('>I8', 0) .. string.sub(task, 13)
        end
        standing[#standing + 1] = at
        standing[#standing + 1] = id
        standing[#standing + 1] = struct.unpack('Bc0', task, 19)
      end
    end
    leaving[':settled'] = redis.call('ZRANGEBYSCORE', base .. ':settled', '-inf', NOW, 'LIMIT', 0, SLICE)
    for _, member in ipairs(leaving[':settled']) do
      forgotten[#forgotten + 1] = string.match(member, '^%d+:(.*)$')
    end
    -- The server may have lost the end of the queue if it was started since, or was another's replica. A
    -- queue that has lost everything looks like one that is new.
    local server = ARGV[5] ~= '' and string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    if server and redis.call('HGET', base, 'server') ~= server then
      local id = string.format('%.0f', math.max(tonumber(numbers[3] or 0) + 1, now))
      numbers[3] = id
      news = { 'server', server, 'task', id }
      payloads = { id, ARGV[4] }
      kept[#kept + 1] = id
      kept[#kept + 1] = struct.pack('>I4I8I6Bc0', 0, 0, wall, #ARGV[5], ARGV[5])
      standing[#standing + 1] = now
      standing[#standing + 1] = id
      standing[#standing + 1] = ARGV[5]
    end
  else
