-- Copies a key's state; an older version never wins over a copy that is not too old, but a revocation, whatever its version,
-- wins over all, for good. Over a copy that is too old to admit anything it does: its caller has just read it, so the ledger
-- was set back, or is another one. (Were it not so, whoever knows the newer version would have it read again.)
--
-- KEYS  1 key state (hash s, v, at: when it was copied, us, e: the epoch in which)
-- ARGV  1 state   2 version   3 life of the copy, ms (a tombstone has none)   4 epoch   5 how old a copy may be, us
local key = redis.call('HMGET', KEYS[1], 's', 'v', 'e', 'at')
if key[1] == 'revoked' then return 0 end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
if ARGV[1] ~= 'revoked' and key[2] and tonumber(key[2]) > tonumber(ARGV[2]) and young(key[4], now, ARGV[5]) then return 0 end
-- A caller that has not heard of the newest epoch does not take it back: its row is no older than the one that is there.
local epoch = math.max(tonumber(ARGV[4]), tonumber(key[3] or 0))
redis.call('HSET', KEYS[1], 's', ARGV[1], 'v', ARGV[2], 'at', int(now), 'e', int(epoch))
if ARGV[1] == 'revoked' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
