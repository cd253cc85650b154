-- Gives a claim up, if this request has it.
--
-- KEYS  1 the claim   ARGV  1 request id
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
