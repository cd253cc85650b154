-- Answers the owners whose lease has not ended. KEYS  1 leases
local clock = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], int(tonumber(clock[1]) * 1000000 + tonumber(clock[2]) + 1), '+inf')
