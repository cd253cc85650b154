-- Renews the lease of an owner and adds accounts to its list. Answers how many leases live, or 0: the lease was lost, and
-- an owner that has been given up does not come back under its name.
--
-- KEYS  1 leases (zset: owner by when its lease ends, us; 0: it is given up)   2 accounts of this owner (set)
-- ARGV  1 owner   2 life of the lease, us   3 '1' if the owner has never had one   4... accounts
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) == 0 or not ends and ARGV[3] ~= '1' then return 0 end
redis.call('ZADD', KEYS[1], int(now + tonumber(ARGV[2])), ARGV[1])
for i = 4, #ARGV do redis.call('SADD', KEYS[2], ARGV[i]) end
return redis.call('ZCOUNT', KEYS[1], int(now + 1), '+inf')
