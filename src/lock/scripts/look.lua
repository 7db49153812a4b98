-- look.lua - who holds the lock; changes nothing, so a replica can run it
--
-- KEYS[1]  the lock               ARGV[1]  db
-- KEYS[2]  its fence, "N TOKEN"   ARGV[2]  how many waiters to name at the most
-- KEYS[3]  its line,
--          id -> ticket
-- KEYS[4]  who is there,
--          id -> until, in ms
--
-- {'none', '', -2, '0', waiters, {id, ...}}   nobody holds it
-- {'string', holder, pttl, fence, waiters, {id, ...}}
--                  held; fence 0: it was not rlock that took it; waiters: how
--                  many are in line, then the first of them
-- {type}           the key is no string, and so no lock
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
local holder = redis.pcall('GET', KEYS[1])
if type(holder) == 'table' then
  if holder.err:find('WRONGTYPE', 1, true) then
    return {redis.call('TYPE', KEYS[1]).ok}
  end
  return holder
end
local count, line = 0, {}
if ARGV[2] ~= '0' then
  -- Of those whose time is over the server may have some still.  Without a
  -- right to look at the line there is none to be seen.
  local time = redis.call('TIME')
  local ms = time[1] * 1e3 + math.floor(time[2] / 1e3)
  for _, id in ipairs(redis.pcall('ZRANGE', KEYS[3], 0, -1)) do
    if (redis.call('ZSCORE', KEYS[4], id) or 0) - ms > 0 then
      count = count + 1
      if count <= tonumber(ARGV[2]) then line[count] = id end
    end
  end
end
if not holder then return {'none', '', -2, '0', count, line} end
local note = redis.pcall('GET', KEYS[2])
local fence, of
if type(note) == 'string' then fence, of = note:match('^(%d+) (.*)$') end
return {'string', holder:sub(1, 4097), redis.call('PTTL', KEYS[1]),
  of == holder and fence or '0', count, line}
