-- Ends holds and moves the copy of an account forward, never back. Any part may be empty; the same call again changes
-- nothing.
--
-- KEYS  1 copy of the account (hash b, v)   2 holds   3 holds by expiry
-- ARGV  1 balance, nano-USD   2 its version, or '' to leave the copy   3 life of the copy, ms   4... request ids
local SUM = '' -- as in admit.lua

if ARGV[2] ~= '' then
  local stored = redis.call('HGET', KEYS[1], 'v')
  if not stored or tonumber(stored) < tonumber(ARGV[2]) then
    redis.call('HSET', KEYS[1], 'b', ARGV[1], 'v', ARGV[2])
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end

local ids = {unpack(ARGV, 4)}
if #ids == 0 then return 0 end
local sum = tonumber(redis.call('HGET', KEYS[2], SUM) or 0)
local ended = 0
for _, id in ipairs(ids) do
  local amount = redis.call('HGET', KEYS[2], id)
  if amount then
    sum = sum - tonumber(amount)
    ended = ended + 1
    redis.call('HDEL', KEYS[2], id)
    redis.call('ZREM', KEYS[3], id)
  end
end
if ended == 0 then return 0 end
if redis.call('HLEN', KEYS[2]) == 1 then
  redis.call('DEL', KEYS[2], KEYS[3])
else
  redis.call('HSET', KEYS[2], SUM, string.format('%.0f', sum))
end
return ended
