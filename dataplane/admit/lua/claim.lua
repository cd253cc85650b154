-- Answers the request that has a name of an account: whoever asked first, until its time has passed.
--
-- KEYS  1 the claim   ARGV  1 request id   2 life of the claim, ms
local holder = redis.call('GET', KEYS[1])
if holder then return holder end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
