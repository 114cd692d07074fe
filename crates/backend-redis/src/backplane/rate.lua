-- The generic cell rate algorithm, in ticks of which `denominator` make a microsecond. An instant is two
-- numbers, whole microseconds and ticks, because a number of Lua is exact to 53 bits only.
-- KEYS[1]: the instant at which the bucket is full again, "<microseconds> <ticks> <denominator>".
-- ARGV: the denominator; the cost and the capacity, each in microseconds and ticks.
-- Answers whether the cost was taken, and what is missing from the bucket then, in microseconds and ticks.
local denominator = tonumber(ARGV[1])
local cost, cost_ticks = tonumber(ARGV[2]), tonumber(ARGV[3])
local capacity, capacity_ticks = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local missing, ticks = 0, 0
local full_at = redis.call('GET', KEYS[1])
if full_at then
  local at, at_ticks, per = string.match(full_at, '^(%d+) (%d+) (%d+)$')
  at, at_ticks = tonumber(at), tonumber(at_ticks)
  if tonumber(per) ~= denominator then
    -- Of another pace: the rest of a microsecond counts as a whole one.
    at, at_ticks = at + (at_ticks > 0 and 1 or 0), 0
  end
  if at >= now then
    missing, ticks = at - now, at_ticks
  end
end

local after, after_ticks = missing + cost, ticks + cost_ticks
if after_ticks >= denominator then
  after, after_ticks = after + 1, after_ticks - denominator
end
local asks = cost == 0 and cost_ticks == 0
if not asks then
  if after > capacity or (after == capacity and after_ticks > capacity_ticks) then
    return { 0, missing, ticks }
  end
  local at = string.format('%.0f %.0f %.0f', now + after, after_ticks, denominator)
  redis.call('SET', KEYS[1], at, 'PX', math.floor(after / 1000) + 1)
end
return { 1, after, after_ticks }
