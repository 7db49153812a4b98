-- acquire.lua - take the lock if nobody holds it, else say who does
--
-- KEYS[1]  the lock                ARGV[1]  db
-- KEYS[2]  its fence, "N TOKEN"    ARGV[2]  token
--                                  ARGV[3]  TTL in ms, 0: never expires
--
-- {1, fence}         taken
-- {2, fence}         this token held it already; its TTL is set anew
-- {0, holder, pttl}  somebody else holds it
-- {-3, type}         the key is no string, and so no lock
--
-- An error leaves no lock behind: a db that does not exist ends the script
-- before any write.  The fence is the first write, because servers look only
-- there whether they have memory for a script.  And who may not release or
-- renew does not take: both are tried while the key is absent, which changes
-- nothing.
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
local holder = redis.pcall('GET', KEYS[1])
if type(holder) == 'table' then
  if not holder.err:find('WRONGTYPE', 1, true) then return holder end
  return {-3, redis.call('TYPE', KEYS[1]).ok}
end
if holder and holder ~= ARGV[2] then
  return {0, holder:sub(1, 4097), redis.call('PTTL', KEYS[1])}
end
-- Servers before 7 replicate a script by its text, and then allow no write
-- after TIME.
if redis.replicate_commands then redis.replicate_commands() end
local last, of = (redis.call('GET', KEYS[2]) or ''):match('^(%d+) (.*)$')
last = tonumber(last) or 0
if last > 9e15 then last = 0 end -- beyond what a Lua number counts: not ours
if not holder or of ~= ARGV[2] then
  local now = redis.call('TIME')
  last = math.max(last + 1, now[1] * 1e6 + now[2])
end
local fence = string.format('%.0f', last)
local note = fence .. ' ' .. ARGV[2]
local keep = math.max(86400000, 2 * ARGV[3])
if ARGV[3] == '0' then keep = 31536000000 end -- a year
redis.call('SET', KEYS[2], note, 'PX', keep)
if not holder then
  redis.call('DEL', KEYS[1])
  redis.call('PEXPIRE', KEYS[1], 1)
end
if ARGV[3] == '0' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return {holder and 2 or 1, fence}
