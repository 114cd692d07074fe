-- A queue whose delays and leases that passed have ended. What follows is one of the other files.
--
-- KEYS[1] is what the names of all its keys begin with; they share its hash tag.
--   …           hash: the last task, the last token, the last time, the server that told of losses last,
--               and how often a class was passed over
--   …:task:ID   hash: l lane, p class, a attempts, e enqueued at, d payload, k key; t token of the lease;
--               c cause, r reason and x time of its death
--   …:line:P:L  list: the ready tasks of class P in lane L, in the order in which they became due
--   …:ring:P    list: the lanes that have a line in class P, in the order of their turns
--   …:of:L      set: all tasks of lane L
--   …:ready, …:waiting, …:leased, …:settled
--               sorted sets: tasks by since when, until when; the settled by when their key is forgotten
--   …:dead      sorted set: dead letters by task
--   …:keys      hash: the task of each deduplication key
-- A class is a priority, the highest is 0. Times are microseconds of the server's clock, which stands
-- still for the queue while it is set back; those for people are milliseconds.
--
-- ARGV begins with: how many attempts there are, for how long keys are remembered, and how many; then of
-- the task that tells of a loss its payload, lane and class, or nothing.
local base = KEYS[1]
local max_attempts = tonumber(ARGV[1])
local retention, most_settled = tonumber(ARGV[2]), tonumber(ARGV[3])
local READY, WAITING, LEASED = base .. ':ready', base .. ':waiting', base .. ':leased'
local DEAD, SETTLED, BY_KEY = base .. ':dead', base .. ':settled', base .. ':keys'

-- How much of each kind one script ends.
local SLICE = 1000

if redis.replicate_commands then
  redis.replicate_commands() -- what Redis 6 needs to write after it has read the time
end
local time = redis.call('TIME')
local wall = time[1] * 1000 + math.floor(time[2] / 1000)
local now = math.max(time[1] * 1000000 + time[2], tonumber(redis.call('HGET', base, 'now') or '0'))
redis.call('HSET', base, 'now', now)

-- All digits, which a number alone does not keep when it becomes text.
local function text(number)
  return string.format('%.0f', number)
end

-- The next number of a kind: larger than all before it, also than those that Redis may have lost.
local function next_number(kind)
  local last = tonumber(redis.call('HGET', base, kind) or '0')
  local number = text(math.max(last + 1, now))
  redis.call('HSET', base, kind, number)
  return number
end

local function task_of(id)
  return base .. ':task:' .. id
end

local function line_of(class, lane)
  return base .. ':line:' .. class .. ':' .. lane
end

local function ring_of(class)
  return base .. ':ring:' .. class
end

-- Takes a lane without a line out of the turns.
local function end_turns(class, lane)
  redis.call('LREM', ring_of(class), 0, lane)
  if redis.call('EXISTS', ring_of(class)) == 0 then
    redis.call('HDEL', base, 'passed:' .. class)
  end
end

local function line_up(id, class, lane, since)
  redis.call('ZADD', READY, since, id)
  if redis.call('RPUSH', line_of(class, lane), id) == 1 then
    redis.call('RPUSH', ring_of(class), lane)
  end
end

local function wait(id, class, lane, delay)
  if delay == 0 then
    line_up(id, class, lane, now)
  else
    redis.call('ZADD', WAITING, now + delay, id)
  end
end

local function bury(id, cause, reason, at)
  redis.call('HSET', task_of(id), 'c', cause, 'r', reason, 'x', at)
  redis.call('HDEL', task_of(id), 't')
  redis.call('ZADD', DEAD, id, id)
end

local function forget(id)
  local task = redis.call('HMGET', task_of(id), 'l', 'k')
  redis.call('DEL', task_of(id))
  redis.call('SREM', base .. ':of:' .. task[1], id)
  if task[2] then
    redis.call('HDEL', BY_KEY, task[2])
  end
end

-- Keeps only the key of a task that stands nowhere any more.
local function finish(id)
  local key = redis.call('HGET', task_of(id), 'k')
  if not key or retention == 0 or most_settled == 0 then
    return forget(id)
  end
  redis.call('HDEL', task_of(id), 'p', 'a', 'e', 'd', 't', 'c', 'r', 'x')
  redis.call('ZADD', SETTLED, now + retention, id)
  while redis.call('ZCARD', SETTLED) > most_settled do
    forget(redis.call('ZPOPMIN', SETTLED)[1])
  end
end

-- Whether a lease is held under a token.
local function is_held(id, token)
  return redis.call('HGET', task_of(id), 't') == token
end

-- What is due in a sorted set, and up to when that is all.
local function due(set)
  local found = redis.call('ZRANGEBYSCORE', set, '-inf', now, 'WITHSCORES', 'LIMIT', 0, SLICE)
  local all_until = now
  if #found == 2 * SLICE then
    all_until = tonumber(found[#found]) - 1
  end
  return found, all_until
end

-- Makes tasks ready in the order in which they became due, and buries those out of attempts.
local function advance()
  local waiting, waiting_until = due(WAITING)
  local leased, leased_until = due(LEASED)
  local all_until = math.min(waiting_until, leased_until)
  local w, l = 1, 1
  while waiting[w] or leased[l] do
    local wakes = tonumber(waiting[w + 1] or 'inf')
    local ends = tonumber(leased[l + 1] or 'inf')
    local at = math.min(wakes, ends)
    if at > all_until then
      break
    end
    if wakes <= ends then
      local id = waiting[w]
      w = w + 2
      redis.call('ZREM', WAITING, id)
      local task = redis.call('HMGET', task_of(id), 'p', 'l')
      line_up(id, task[1], task[2], at)
    else
      local id = leased[l]
      l = l + 2
      redis.call('ZREM', LEASED, id)
      local task = redis.call('HMGET', task_of(id), 'p', 'l', 'a')
      if tonumber(task[3]) >= max_attempts then
        bury(id, 'x', '', wall - math.floor((now - at) / 1000))
      else
        redis.call('HDEL', task_of(id), 't')
        line_up(id, task[1], task[2], at)
      end
    end
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', SETTLED, '-inf', now, 'LIMIT', 0, SLICE)) do
    redis.call('ZREM', SETTLED, id)
    forget(id)
  end
end

local function add(payload, lane, class, delay)
  local id = next_number('task')
  redis.call('HSET', task_of(id), 'l', lane, 'p', class, 'a', 0, 'e', wall, 'd', payload)
  redis.call('SADD', base .. ':of:' .. lane, id)
  wait(id, class, lane, delay)
  return id
end

-- Adds the task that tells of a loss, on a server that may have lost the end of the queue: one that was
-- started since, or was another's replica. A queue that has lost everything looks like one that is new.
local function tell_loss(payload, lane, class)
  local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  if redis.call('HGET', base, 'server') ~= server then
    redis.call('HSET', base, 'server', server)
    add(payload, lane, class, 0)
  end
end

advance()
if ARGV[5] ~= '' then
  tell_loss(ARGV[4], ARGV[5], ARGV[6])
end

