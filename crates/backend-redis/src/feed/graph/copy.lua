-- ARGV: of each change of a tie to this user its kind, who made the tie, the number of the change and the
-- tie, empty if it is gone.
-- Answers of each nothing, or the number above which it must be for the copy to be made: one that was
-- removed, or is there, may be of a later change to the same tie. So it is, unless the tie was lost since, by a
-- server whose clock is behind.
--
-- The tie is there, so its copy is made also where memory is full: it may be, after this.
redis.call('PEXPIRE', base, KEPT)
local gone = tonumber(redis.call('HGET', base, 'gone') or '0')
local gone_before = gone

local function follower(viewer)
  local range = { FOLLOWERS, '[' .. viewer, '(' .. viewer .. '\255', 'LIMIT', 0, 1 }
  return redis.call('ZRANGEBYLEX', unpack(range))[1]
end

-- The number of a copy, and what is to be taken away for another one.
local function found(kind, from)
  if kind == 'F' then
    local member = follower(from)
    local number = member and select(4, parts(string.sub(member, 9)))
    return number and value_of(number), member
  elseif kind == 'B' then
    local number = redis.call('HGET', TIES, 'b' .. from)
    return number and value_of(number)
  end
  return tonumber(redis.call('ZSCORE', MUTED_BY, from) or '')
end

local function remove(kind, from, member)
  if kind == 'F' then
    redis.call('ZREM', FOLLOWERS, member)
  elseif kind == 'B' then
    redis.call('HDEL', TIES, 'b' .. from)
  else
    redis.call('ZREM', MUTED_BY, from)
  end
end

local function put(kind, from, member, number, tie)
  if kind == 'F' then
    if member then
      redis.call('ZREM', FOLLOWERS, member)
    end
    redis.call('ZADD', FOLLOWERS, 0, from .. tie)
  elseif kind == 'B' then
    redis.call('HSET', TIES, 'b' .. from, number)
  else
    redis.call('ZADD', MUTED_BY, text(value_of(number)), from)
  end
end

local answer = {}
for at = 1, #ARGV, 4 do
  local kind, from, number, tie = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local change, refused = value_of(number), ''
  local copied, member = found(kind, from)
  if copied and copied > change then
    refused = text(copied)
  elseif copied ~= change then
    if tie == '' then
      if copied then
        remove(kind, from, member)
      end
      gone = math.max(gone, change)
    elseif not copied and change <= gone then
      refused = text(gone)
    else
      put(kind, from, member, number, tie)
    end
  end
  answer[#answer + 1] = refused
end
if gone > gone_before then
  redis.call('HSET', base, 'gone', text(gone))
  redis.call('PEXPIRE', base, KEPT)
end
return answer
