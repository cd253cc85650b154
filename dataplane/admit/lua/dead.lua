-- Answers owners whose lease has ended, and gives them up.
--
-- KEYS  1 leases   ARGV  1 how many at most
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local owners = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', int(now), 'LIMIT', 0, ARGV[1])
for _, owner in ipairs(owners) do redis.call('ZADD', KEYS[1], '0', owner) end
return owners
