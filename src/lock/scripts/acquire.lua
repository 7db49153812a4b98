-- acquire.lua - take the lock if it is free and our turn, or wait in its line
--
-- KEYS[1]  the lock                ARGV[1]  db
-- KEYS[2]  its fence, "N TOKEN"    ARGV[2]  token
-- KEYS[3]  its line,               ARGV[3]  TTL in ms, 0: never expires
--          id -> ticket                     Of those who wait, too:
-- KEYS[4]  who is there,           ARGV[4]  try    take it, or be in no line
--          id -> until, in ms               join   take it, or be in line
--                                           leave  be in no line
--                                  ARGV[5]  id of the waiter
--                                  ARGV[6]  its ticket, 0: none yet
--                                  ARGV[7]  ms that it is there; it comes
--                                           again before.  ".5" more: it
--                                           cannot be called
--
-- {1, fence}         taken
-- {2, fence}         this token held it already; its TTL is set anew
-- {0, holder, pttl, ticket, before, count, due, id}
--                    somebody else holds it; before: how many are in line
--                    before us, -1: we are in none; count: how many in all;
--                    due: ms until the one before us must have come again; id:
--                    the one before us, or, if we are not in line, the first
-- {3, '', -2, ticket, before, count, due, id}
--                    nobody holds it, but it is promised to the first in line
-- {-3, type}         the key is no string, and so no lock
--
-- The line: tickets grow, so the first comes first; a waiter keeps its ticket
-- and brings it along, so that it finds its place again wherever the line was
-- lost.  Only the first watches the lock.  Whoever changes who that is calls
-- the new one, on its channel turn:ID.  Nobody there to hear it: that waiter
-- was killed, and the next one is first.  The line's keys outlive their last
-- waiter by six seconds.
--
-- An error leaves no lock behind: a db that does not exist ends the script
-- before any write.  Unless there are any to clear away, the first write is one
-- that wants memory, to the line or to the fence, because servers look only
-- there whether they have it for a script.  Who may not release or renew does
-- not take: both are tried while the key is absent, which changes nothing.  The
-- lock is the last write.
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
local lock, queue, seen = KEYS[1], KEYS[3], KEYS[4]
local token, mode, me = ARGV[2], ARGV[4] or 'try', ARGV[5] or ''
local holder = redis.pcall('GET', lock)
local wrong = type(holder) == 'table'
if wrong and not holder.err:find('WRONGTYPE', 1, true) then return holder end
-- Servers before 7 replicate a script by its text, and then allow no write
-- after TIME.
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local us = time[1] * 1e6 + time[2]
local ms = math.floor(us / 1e3)

local function first()
  return redis.call('ZRANGE', queue, 0, 0)[1]
end
local told = first() -- who knows to be the first
local function drop(id)
  redis.call('ZREM', queue, id)
  redis.call('ZREM', seen, id)
end
-- The first in line that is there.  It is called if it does not know, or has
-- missed that the lock is free.  An error, whatever the reason, drops nobody.
local function lead()
  local id = first()
  while id and id ~= me do
    local turn = queue:sub(1, -6) .. 'turn:' .. id
    local gone = redis.pcall('PUBSUB', 'NUMSUB', turn)[2] == 0
    if not gone and not (holder and id == told) then
      redis.pcall('PUBLISH', turn, '')
    end
    if not gone or (redis.call('ZSCORE', seen, id) or 0) % 1 ~= 0 then
      break
    end
    drop(id)
    id = first()
  end
  return id
end

if wrong then
  -- Nobody need wait for that: the next one is called to hear it, too.
  if ARGV[4] then
    holder = nil
    drop(me)
    lead()
  end
  return {-3, redis.call('TYPE', lock).ok}
end
local line = told or mode == 'join' -- else there is none to heed
local ours = holder == token and mode ~= 'leave'
local head
if line and not ours then
  -- Nobody is there for so long, unless the clock has been set back.
  for _, at in ipairs({{'-inf', ms}, {ms + 6000, '+inf'}}) do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', seen, at[1], at[2],
      'LIMIT', 0, 100)) do drop(id) end
  end
  if mode == 'join' then
    local ticket = ARGV[6]
    if ticket == '0' then
      local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2] or 0
      ticket = string.format('%.0f', math.max(us, last + 1))
    end
    redis.call('ZADD', queue, 'NX', ticket, me)
    redis.call('ZADD', seen, ms + ARGV[7], me)
    redis.call('PEXPIRE', queue, 6000)
    redis.call('PEXPIRE', seen, 6000)
  elseif me ~= '' and (holder or mode == 'leave' or first() ~= me) then
    drop(me)
  end
  head = lead()
end
if not ours and (holder or mode == 'leave' or head and head ~= me) then
  local before, due = -1, -1
  if mode == 'join' then before = redis.call('ZRANK', queue, me) end
  if before == 0 then head = nil end
  if before > 0 then
    head = redis.call('ZRANGE', queue, before - 1, before - 1)[1]
    due = (redis.call('ZSCORE', seen, head) or 0) - ms
  end
  return {holder and 0 or 3, (holder or ''):sub(1, 4097),
    redis.call('PTTL', lock), redis.call('ZSCORE', queue, me) or '0', before,
    redis.call('ZCARD', queue), due, head or ''}
end

local last, of = (redis.call('GET', KEYS[2]) or ''):match('^(%d+) (.*)$')
last = tonumber(last) or 0
if last > 9e15 then last = 0 end -- beyond what a Lua number counts: not ours
if not holder or of ~= token then last = math.max(last + 1, us) end
local fence = string.format('%.0f', last)
local keep = math.max(86400000, 2 * ARGV[3])
if ARGV[3] == '0' then keep = 31536000000 end -- a year
redis.call('SET', KEYS[2], fence .. ' ' .. token, 'PX', keep)
if not holder then
  redis.call('DEL', lock)
  redis.call('PEXPIRE', lock, 1)
end
local answer = {holder and 2 or 1, fence}
if line then
  drop(me)
  holder = token -- as good as
  lead()
end
if ARGV[3] == '0' then
  redis.call('SET', lock, token)
else
  redis.call('SET', lock, token, 'PX', ARGV[3])
end
return answer
