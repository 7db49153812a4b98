-- scan.lua - one page of the fence keys; changes nothing
--
-- ARGV[1]  db    ARGV[2]  cursor    -> {next cursor, {key, ...}}
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
return redis.call('SCAN', ARGV[2], 'MATCH', 'rlock:*:fence', 'COUNT', '1000')
