-- The posts of an author. What follows is one of the other files.
--
-- KEYS[1] is what the names of all its keys begin with; they share its hash tag.
--   …            sorted set: a line for each live post
--   …:bodies     hash: of each live post its body, unless it is empty
--   …:retracted  sorted set: retracted posts
--   …:floor      sorted set: the post up to which absent ones count as retracted, if there is one
--   …:keys       hash: the post of each idempotency key
--   …:order      list: idempotency keys, the oldest first
-- A post is 8 bytes in big endian, and a line begins with its post, as line.rs says. All scores are 0, so
-- sets are in the order of posts, and it is the server that compares them: Lua would do so by locale.
--
-- A script looks at each key before it writes, so that one of another type leaves nothing half done.
local base = KEYS[1]
local LINES, BODIES = base, base .. ':bodies'
local RETRACTED, FLOOR = base .. ':retracted', base .. ':floor'
local BY_KEY, ORDER = base .. ':keys', base .. ':order'

-- After all that a line of a post may go on with.
local BEYOND = string.rep('\255', 5)

-- Most of what is let go of at a time, if a bound was lowered.
local SURPLUS = 64

local function line_of(post)
  return redis.call('ZRANGEBYLEX', LINES, '[' .. post, '(' .. post .. BEYOND, 'LIMIT', 0, 1)[1]
end

local function is_retracted(post)
  return redis.call('ZSCORE', RETRACTED, post)
end

local function is_below_floor(post)
  return redis.call('ZLEXCOUNT', FLOOR, '[' .. post, '+') > 0
end
