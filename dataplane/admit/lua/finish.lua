-- Makes a hold its request's actual cost, frees its slot and corrects the token buckets, once; an unknown id changes
-- nothing, and is answered with 0.
--
-- KEYS  1 record of the request id   2 rates of its key   3 holds   4 running requests
-- ARGV  1 request id   2 actual cost, nano-USD   3 input tokens   4 output tokens   5 the settlement, any bytes
local id, actual = ARGV[1], tonumber(ARGV[2])
local value = redis.call('HGET', KEYS[3], id)
if not value then return 0 end
local h = read_hold(value)
if h.running == '0' then return 1 end

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

redis.call('ZREM', KEYS[4], slot(h.digest, h.ends, id))
local sums = redis.call('HMGET', KEYS[3], SUM, key_field(h.digest))
local key_sum = tonumber(sums[2] or 0) - h.amount + actual
local sum = tonumber(sums[1] or 0) - h.amount + actual
h.amount, h.running, h.record = actual, '0', ARGV[5]
redis.call('HSET', KEYS[3], id, write_hold(h), SUM, int(sum))
set_key_sum(KEYS[3], h.digest, key_sum)

-- A bucket gets back what was estimated too much, and gives what was estimated too little, below empty, too: what comes back
-- pays the debt before anything else passes, or requests that take more than was thought would pass the limit for ever. One
-- minute's worth is the most that it owes beyond empty: whoever passed the limit waits a minute, as with a window of one.
local MINUTE = 60000000

local function correct(unit, limit, burst, estimated, used)
  local one_us, one_ps = interval(limit)
  local full_us, full_ps = times(burst, one_us, one_ps)
  local most_us, most_ps = span(full_us + MINUTE, full_ps)
  local stored = redis.call('HMGET', KEYS[2], at_field(unit), more_field(unit))
  local us, ps = debt(stored[1], stored[2], now)
  local by_us, by_ps = times(math.abs(used - estimated), one_us, one_ps)
  if used < estimated then
    if longer(by_us, by_ps, us, ps) then by_us, by_ps = us, ps end
    us, ps = span(us - by_us, ps - by_ps)
  elseif not longer(us, ps, most_us, most_ps) then -- it may owe more already, from a larger burst before
    us, ps = span(us + by_us, ps + by_ps)
    if longer(us, ps, most_us, most_ps) then us, ps = most_us, most_ps end
  end
  redis.call('HSET', KEYS[2], at_field(unit), int(now + us), more_field(unit), int(ps))
  local life = math.ceil((us + math.min(1, ps)) / 1000)
  if redis.call('PTTL', KEYS[2]) < life then redis.call('PEXPIRE', KEYS[2], int(life)) end
end

local record = redis.call('GET', KEYS[1])
if not record or string.sub(record, 1, 6) == 'would-' then return 1 end -- what only counts took nothing
local tokens = {InputTokensPerMinute = tonumber(ARGV[3]), OutputTokensPerMinute = tonumber(ARGV[4])}
for unit, limit, burst, estimated in string.gmatch(record, '([A-Za-z]+PerMinute) ([0-9]+) ([0-9]+) ([0-9]+)') do
  local used, reserved = tokens[unit], tonumber(estimated)
  if used and used ~= reserved then correct(unit, tonumber(limit), tonumber(burst), reserved, used) end
end
return 1
