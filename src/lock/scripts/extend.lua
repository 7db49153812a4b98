-- extend.lua - change how long the lock will live, if the token owns it
--
-- KEYS[1]  the lock                ARGV[1]  db
-- KEYS[2]  its fence, "N TOKEN"    ARGV[2]  token
--                                  ARGV[3]  ms
--                                  ARGV[4]  by    add to what remains
--                                           to    set what remains
--                                           anew  set it, whether or not the
--                                                 lock expires now; 0: never
--
-- {1, fence or 0, pttl}  done; 0: the lock has no fence, it was not rlock
--                        that took it.  The key is read last: who has it
--                        tracked would not hear of it again after a write
--                        of his own
-- {0}                    nobody holds it, and this does not take it
-- {-1, holder, pttl}     somebody else holds it
-- {-2}                   by, to: it never expires
-- {-3, type}             the key is no string, and so no lock
--
-- A replica may lag behind: it is not to say that the lock is not ours, and so
-- that answer does not come without a write, which it refuses.
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
local holder = redis.pcall('GET', KEYS[1])
if type(holder) == 'table' then
  if not holder.err:find('WRONGTYPE', 1, true) then return holder end
  return {-3, redis.call('TYPE', KEYS[1]).ok}
end
local left = redis.call('PTTL', KEYS[1])
if holder ~= ARGV[2] then
  redis.call('PEXPIRE', KEYS[2] .. ':none', 1) -- there is no such key
  if not holder then return {0} end
  return {-1, holder:sub(1, 4097), left}
end
if left < 0 and ARGV[4] ~= 'anew' then return {-2} end
local life = tonumber(ARGV[3])
if ARGV[4] == 'by' then life = left + life end
-- The fence outlives its lock; one of another token is not touched.
local fence, of = (redis.call('GET', KEYS[2]) or ''):match('^(%d+) (.*)$')
if of == holder then
  redis.call('PEXPIRE', KEYS[2],
    life == 0 and 31536000000 or math.max(86400000, 2 * life))
end
if life == 0 then
  redis.call('PERSIST', KEYS[1])
  life = -1
else
  redis.call('PEXPIRE', KEYS[1], life)
end
redis.call('GET', KEYS[1])
return {1, of == holder and fence or '0', life}
