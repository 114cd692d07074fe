-- What a user did, and which posts of theirs somebody did something to: notes by which all that is found
-- again when the user is erased. The posts themselves say what counts. What follows is one of the other
-- files.
--
-- KEYS[1] is what the names of all its keys begin with; they share its hash tag.
--   …        hash: the last number
--   …:likes  hash: of each post liked the number of the note
--   …:made   sorted set, by name: replies and reposts, each with its kind, the post it is of and the number
--   …:posts  hash: of each post of theirs the number of the note
-- Users, posts and numbers have eight bytes, big endian. The kind is 0 for a post of the user's, 1 for a
-- like, 2 for a reply, 3 for a repost.
local MADE = base .. ':made'
local BY_POST = { ['0'] = base .. ':posts', ['1'] = base .. ':likes' }

local function made(item, kind, post)
  local what = item .. kind .. post
  return redis.call('ZRANGEBYLEX', MADE, '[' .. what, '[' .. what .. string.rep('\255', 8), 'LIMIT', 0, 1)[1]
end

-- The number of a note, and how it is kept among `MADE`.
local function noted(kind, post, item)
  if BY_POST[kind] then
    return redis.call('HGET', BY_POST[kind], post)
  end
  local member = made(item, kind, post)
  return member and string.sub(member, -8), member
end
