-- What every script of a queue begins with. Then come `due.lua`, one of the other files, and `save.lua`. There are
-- few functions, since each would be made anew at each call.
--
-- KEYS[1] is what the names of all its keys begin with; they share its hash tag. A class is a priority, the
-- highest is 0; a place is a class and a lane, P:L.
--   …           hash: `now`, the last time, and `behind`, how far behind it the server's clock is; `task` and
--               `token`, the last numbers; `due`, before which nothing ends; `passed:P`, how often a class was
--               passed over; `server`, that told of losses last
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
-- Times are microseconds of the server's clock. While that is behind what it was, as after it was set back, the
-- queue's goes on beside it. Times for people are milliseconds of the server's clock.
--
-- ARGV begins with: how many attempts there are, for how long keys are remembered, and how many; then of
-- the task that tells of a loss its payload and place, or nothing.

-- How many arguments a command is given at once. Lua can pass less than 8,000.
local MANY = 4000

-- How much of each kind one script ends.
local SLICE = 1000

-- How many numbers are passed over that may have been given by another server: more than a replica lags behind.
local LEAP = 60000000

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

local base = KEYS[1]
local numbers = redis.call('HMGET', base, 'now', 'due', 'task', 'token', 'passed:1', 'passed:2', 'behind')
local time = redis.call('TIME')
local wall = time[1] * 1000 + math.floor(time[2] / 1000)
local now, behind = time[1] * 1000000 + time[2], 0
local last = tonumber(numbers[1] or 0)
if now < last then
  behind = math.max(tonumber(numbers[7] or 0), last - now)
  now = now + behind
end
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
if behind ~= tonumber(numbers[7] or 0) then
  news = { 'behind', string.format('%.0f', behind) }
end
-- Another server, to which the last numbers may not have come: by now they would be above those, but for its clock.
if behind > tonumber(numbers[7] or 0) then
  for at, name in pairs({ [3] = 'task', [4] = 'token' }) do
    numbers[at] = string.format('%.0f', math.max(tonumber(numbers[at] or 0), now) + LEAP)
    news[#news + 1] = name
    news[#news + 1] = numbers[at]
  end
end

local answer
