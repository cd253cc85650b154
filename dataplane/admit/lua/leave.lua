-- Gives up the lease of an owner that goes, and forgets one whose list is empty.
--
-- KEYS  1 leases   2 accounts of the owner   ARGV  1 owner
if redis.call('SCARD', KEYS[2]) == 0 then return redis.call('ZREM', KEYS[1], ARGV[1]) end
return redis.call('ZADD', KEYS[1], 'XX', '0', ARGV[1])
