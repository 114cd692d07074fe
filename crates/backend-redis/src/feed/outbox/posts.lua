
-- ARGV: posts. Answers of each its line, which is empty if it is not live, and its body.
local answers = {}
for _, post in ipairs(ARGV) do
  local line = line_of(post)
  answers[#answers + 1] = line or ''
  answers[#answers + 1] = line and redis.call('HGET', BODIES, post) or ''
end
return answers
