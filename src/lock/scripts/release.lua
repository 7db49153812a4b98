-- release.lua - free the lock, if the token owns it
--
-- KEYS[1]  the lock                ARGV[1]  db
-- KEYS[2]  its fence, "N TOKEN"    ARGV[2]  token
--                                  ARGV[3]  0: free it now
--                                           N: let it expire in N ms
--                                           undo: as if it had never been
--                                           taken, so without its fence
--
-- {1}                 done
-- {0}                 nobody holds it
-- {-1, holder, pttl}  somebody else does
-- {-3, type}          the key is no string, and so no lock
--
-- A replica may lag behind: it is not to say that the lock is not ours, and so
-- that answer does not come without a write, which it refuses.
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
local holder = redis.pcall('GET', KEYS[1])
if type(holder) == 'table' then
  if not holder.err:find('WRONGTYPE', 1, true) then return holder end
  return {-3, redis.call('TYPE', KEYS[1]).ok}
end
if holder ~= ARGV[2] then
  redis.call('DEL', KEYS[2] .. ':none') -- there is no such key
  if not holder then return {0} end
  return {-1, holder:sub(1, 4097), redis.call('PTTL', KEYS[1])}
end
if ARGV[3] == 'undo' then
  redis.call('DEL', KEYS[1], KEYS[2])
elseif ARGV[3] == '0' then
  -- The fence of a lock that never expired was to last a year.
  if redis.call('PTTL', KEYS[1]) < 0 then
    redis.call('PEXPIRE', KEYS[2], 86400000)
  end
  redis.call('DEL', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[2], math.max(86400000, 2 * ARGV[3]))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return {1}
