-- Numbers of changes, which a hash keeps under the name that all names of a user's keys begin with: `last` is the
-- last that was given. They are microseconds, and below 2^53 until the year 2255. As bytes they are eight, big endian.
local base = KEYS[1]

-- For how long numbers are remembered, for calls that are late and a clock that is set back: a day, and up to
-- an hour more.
local HOUR = 3600 * 1000
local KEPT = 25 * HOUR

local function value_of(number)
  return (struct.unpack('>I8', number))
end

-- All digits, which a number alone does not keep when it becomes text.
local function text(value)
  return string.format('%.0f', value)
end

-- Numbers that come are above `value`, which may be of a time that Redis has lost.
local function outlast(value)
  if value > tonumber(redis.call('HGET', base, 'last') or '0') then
    redis.call('HSET', base, 'last', text(value))
  end
end

-- The next number: above all before it, also those that Redis may have lost, and above `least`.
local function next_number(least)
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local last = tonumber(redis.call('HGET', base, 'last') or '0')
  local value = math.max(math.max(last, least or 0) + 1, now)
  redis.call('HSET', base, 'last', text(value))
  -- Redis writes each change of a TTL to its replicas, so few numbers make one.
  if last > now or last < now - HOUR * 1000 then
    redis.call('PEXPIRE', base, KEPT)
  end
  return struct.pack('>I8', value)
end

