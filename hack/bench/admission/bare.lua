-- The smallest reservation that is honest: a copy of the balance, a sum of holds, a hold that can be found again, an answer
-- that is the same when it is asked again. Six commands; no key state, no owner, no time, no rates, no slots.
--
-- KEYS  1 copy of the account   2 holds   3 record of the request   ARGV  1 request id   2 hold   3 life of the record, ms
local known = redis.call('GET', KEYS[3])
if known then return known end
local spendable = tonumber(redis.call('HGET', KEYS[1], 'b') or 9000000000000000)
local sum = tonumber(redis.call('HGET', KEYS[2], '') or 0)
local hold = tonumber(ARGV[2])
if spendable - sum < hold then return 'insufficient' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], '', string.format('%.0f', sum + hold))
redis.call('SET', KEYS[3], 'admitted', 'PX', ARGV[3])
return 'admitted'
