-- Changes the list of accounts of an owner that is not the caller: puts an account on it, and gives an owner that is not
-- known the time of a lease to speak up; or takes one off it, and forgets an owner that is given up with its last.
--
-- KEYS  1 leases   2 accounts of the owner   ARGV  1 owner   2 account, or ''   3 'add' or 'remove'   4 life of a lease, us
if ARGV[3] == 'add' then
  if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    local clock = redis.call('TIME')
    redis.call('ZADD', KEYS[1], int(tonumber(clock[1]) * 1000000 + tonumber(clock[2]) + tonumber(ARGV[4])), ARGV[1])
  end
  return redis.call('SADD', KEYS[2], ARGV[2])
end
redis.call('SREM', KEYS[2], ARGV[2])
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
if ends and tonumber(ends) == 0 and redis.call('SCARD', KEYS[2]) == 0 then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1
