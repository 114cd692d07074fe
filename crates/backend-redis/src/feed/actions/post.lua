-- What was done to a post. What follows is one of the other files.
--
-- KEYS[1] is what the names of all its keys begin with; they share its hash tag.
--   …          hash: the author, and the number of their note; the highest number of what was taken back
--   …:likes    hash: of each actor the number of their note
--   …:replies  sorted set, by name: actors, each with the reply and the number of the note
--   …:reposts  hash: of each actor the repost and the number of their note
-- Users, posts, numbers and kinds are as with users.
local base = KEYS[1]
local LIKES, REPLIES, REPOSTS = base .. ':likes', base .. ':replies', base .. ':reposts'

-- For how long it is remembered what was taken back, for calls that are late.
local DAY = 24 * 3600 * 1000

local known = redis.call('HMGET', base, 'author', 'gone')
local author_and_note = known[1]
local author = author_and_note and string.sub(author_and_note, 1, 8)
local note = author_and_note and string.sub(author_and_note, 9)
local gone_before = tonumber(known[2] or '0')
local gone = gone_before

local function value_of(number)
  return (struct.unpack('>I8', number))
end

local function later(one, other)
  return value_of(one) > value_of(other) and one or other
end

-- The number of an action that was done, or of the repost in its place; and the item.
local function find(kind, actor, item)
  if kind == '1' then
    return redis.call('HGET', LIKES, actor), item
  elseif kind == '3' then
    local repost = redis.call('HGET', REPOSTS, actor)
    if repost then
      return string.sub(repost, 9), string.sub(repost, 1, 8)
    end
    return false
  end
  local what = actor .. item
  local range = { REPLIES, '[' .. what, '[' .. what .. string.rep('\255', 8), 'LIMIT', 0, 1 }
  local reply = redis.call('ZRANGEBYLEX', unpack(range))[1]
  return reply and string.sub(reply, 17), item
end

local function put(kind, actor, item, number)
  if kind == '1' then
    redis.call('HSET', LIKES, actor, number)
  elseif kind == '3' then
    redis.call('HSET', REPOSTS, actor, item .. number)
  else
    redis.call('ZADD', REPLIES, 0, actor .. item .. number)
  end
end

local function remove(kind, actor, item, number)
  if kind == '1' then
    redis.call('HDEL', LIKES, actor)
  elseif kind == '3' then
    redis.call('HDEL', REPOSTS, actor)
  else
    redis.call('ZREM', REPLIES, actor .. item .. number)
  end
  gone = math.max(gone, value_of(number))
end

-- Remembers what was taken back. Answers the author, and the number of their note if nothing is left.
local function close()
  local is_empty = redis.call('EXISTS', LIKES, REPLIES, REPOSTS) == 0
  if is_empty and note then
    redis.call('HDEL', base, 'author')
    gone = math.max(gone, value_of(note))
  end
  if gone > gone_before then
    redis.call('HSET', base, 'gone', string.format('%.0f', gone))
  end
  if is_empty then
    redis.call('PEXPIRE', base, DAY)
  end
  return author or '', is_empty and note or ''
end
