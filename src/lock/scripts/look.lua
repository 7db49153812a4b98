-- look.lua - who holds the lock; changes nothing, so a replica can run it
--
-- KEYS[1]  the lock    KEYS[2]  its fence, "N TOKEN"    ARGV[1]  db
--
-- {'none'}                         nobody holds it
-- {'string', holder, pttl, fence}  held; fence 0: it was not rlock that took it
-- {type}                           the key is no string, and so no lock
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
local holder = redis.pcall('GET', KEYS[1])
if not holder then return {'none'} end
if type(holder) == 'table' then
  if holder.err:find('WRONGTYPE', 1, true) then
    return {redis.call('TYPE', KEYS[1]).ok}
  end
  return holder
end
local note = redis.pcall('GET', KEYS[2])
local fence, of
if type(note) == 'string' then fence, of = note:match('^(%d+) (.*)$') end
return {'string', holder:sub(1, 4097), redis.call('PTTL', KEYS[1]),
  of == holder and fence or '0'}
