-- Copies a key's state; an older version never wins, but a revocation, whatever its version, wins over all, for good.
--
-- KEYS  1 key state (hash s, v)
-- ARGV  1 state   2 version   3 life of the copy, ms (a tombstone has none)
local key = redis.call('HMGET', KEYS[1], 's', 'v')
if key[1] == 'revoked' then return 0 end
if ARGV[1] ~= 'revoked' and key[2] and tonumber(key[2]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 's', ARGV[1], 'v', ARGV[2])
if ARGV[1] == 'revoked' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
