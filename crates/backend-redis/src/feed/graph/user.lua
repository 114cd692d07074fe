-- A user's ends of their ties. What follows is one of the other files.
--
-- A tie is an edge, a block or a mute. Who made it keeps it; the user at the other end, who may be on
-- another server, has a copy. A change is pending with who made the tie until the copy is changed too.
--
-- KEYS[1] is what the names of all its keys begin with; they share its hash tag.
--   …            hash: the last number, the highest of a copy that was removed (gone), and of each list
--                that of its last change; of all that have nobody the last (emptied)
--   …:followees  hash: of each author the edge
--   …:followers  sorted set, by name: viewers, each followed by a copy of the edge
--   …:ties       hash: numbers of blocks, mutes and copies of blocks, under B, M or b and the other user
--   …:muted_by   sorted set: viewers by the numbers of their mutes, as copies
--   …:pending    hash: numbers of changes, under F, B or M and the other user
--   …:lists      hash: of each list the members
--   …:listed     sorted set: owners and their lists by a number from before the user was listed there
-- Users, lists, numbers, stamps and posts have eight bytes, big endian. An edge is one byte, its stamp,
-- the post up to which it is pulled, if there is one, and its number, if that is not the stamp. In the
-- byte are the kind of route, the viewer's wishes (4, 8), and whether there is a number (16).
local FOLLOWEES, FOLLOWERS, TIES = base .. ':followees', base .. ':followers', base .. ':ties'
local MUTED_BY, PENDING = base .. ':muted_by', base .. ':pending'
local LISTS, LISTED = base .. ':lists', base .. ':listed'

local function parts(edge)
  local flags, stamp = string.byte(edge), string.sub(edge, 2, 9)
  local pulled_until = flags % 4 == 1 and string.sub(edge, 10, 17) or ''
  return flags % 16, stamp, pulled_until, flags >= 16 and string.sub(edge, -8) or stamp
end

local function edge_of(flags, stamp, pulled_until, number)
  if number == stamp then
    return string.char(flags) .. stamp .. pulled_until
  end
  return string.char(flags + 16) .. stamp .. pulled_until .. number
end

-- A tie that this user made: an edge, or the number of anything else.
local function tie_to(kind, other)
  if kind == 'F' then
    return redis.call('HGET', FOLLOWEES, other)
  end
  return redis.call('HGET', TIES, kind .. other)
end

-- Answers what is owed, as `owed` does.
local function set_tie(kind, other, value, number)
  redis.call('HSET', PENDING, kind .. other, number)
  if kind == 'F' then
    redis.call('HSET', FOLLOWEES, other, value)
  else
    redis.call('HSET', TIES, kind .. other, value)
  end
  return number, value
end

-- Answers what is owed. Where memory is full, a script may go on to write once it has taken something away.
local function cut_tie(kind, other, least)
  if kind == 'F' then
    redis.call('HDEL', FOLLOWEES, other)
  else
    redis.call('HDEL', TIES, kind .. other)
  end
  local number = next_number(least)
  redis.call('HSET', PENDING, kind .. other, number)
  return number, ''
end

-- The number of the change that is pending, and the tie that there is then; each empty if there is none.
local function owed(kind, other)
  local number = redis.call('HGET', PENDING, kind .. other)
  return number or '', number and tie_to(kind, other) or ''
end
