-- A part of the users. What follows is one of the other files.
-- KEYS[1] is what the names of all its keys begin with.
--   …           hash: the `last` version that was given; `turn`, how often a lease came in here; `checked`, the
--               epoch of the leases in which all those that are here were held
--   …:users     hash: records, by user; bytes 2 to 17 of one are its versions
--   …:timed     sorted set: users by when what they have set ends
--   …:lapsed    sorted set: users whom time has changed, by to whom that is news: 1 others, 2 the user
--   …:leases    set: the leases under which somebody is there
--   …:at:LEASE  set: who
-- Users are eight bytes, big endian. Each answer begins with the server, by its replication id.
local base = KEYS[1]
local users, timed, lapsed, leases = base .. ':users', base .. ':timed', base .. ':lapsed', base .. ':leases'
local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')

