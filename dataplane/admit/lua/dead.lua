-- Gives up owners whose lease has ended, and answers owners that were given up.
--
-- KEYS  1 leases   ARGV  1 how many of each at most   2 how many of the second to leave out
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '(0', int(now), 'LIMIT', 0, ARGV[1])
for _, owner in ipairs(ended) do redis.call('ZADD', KEYS[1], '0', owner) end
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '0', 'LIMIT', ARGV[2], ARGV[1])
