-- KEYS: a viewer. ARGV: a post. Answers where the marker stands.
local marker = redis.call('HGET', KEYS[1], 'm')
if marker then
  local high, low = struct.unpack('>I4I4', ARGV[1])
  local marked_high, marked_low = struct.unpack('>I4I4', marker)
  if marked_high > high or marked_high == high and marked_low >= low then
    return marker
  end
end
redis.call('HSET', KEYS[1], 'm', ARGV[1])
return ARGV[1]
