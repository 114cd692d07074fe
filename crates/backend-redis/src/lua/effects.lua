-- What Redis 6 needs to write after it has asked for what is not the same on every server, such as the time.
if redis.replicate_commands then
  redis.replicate_commands()
end
