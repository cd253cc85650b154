-- Makes a hold its request's actual cost, frees its slot and corrects the token buckets, once; an unknown id changes
-- nothing, and is answered with 0.
--
-- KEYS  1 record of the request id   2 rates of its key   3 holds   4 running requests
-- ARGV  1 request id   2 actual cost, nano-USD   3 input tokens   4 output tokens   5 the settlement, any bytes   6 key digest
local id, digest, actual = ARGV[1], ARGV[6], tonumber(ARGV[2])
local stored = redis.call('HMGET', KEYS[3], id, SUM, key_field(digest))
if not stored[1] then return 0 end
local h = read_hold(stored[1])
if h.running == '0' then return 1 end

local sum, key_sum = tonumber(stored[2] or 0) - h.amount + actual, stored[3]
if h.digest ~= digest then digest, key_sum = h.digest, redis.call('HGET', KEYS[3], key_field(h.digest)) end
key_sum = tonumber(key_sum or 0) - h.amount + actual
redis.call('ZREM', KEYS[4], slot(digest, h.ends, id))
h.amount, h.running, h.record = actual, '0', ARGV[5]
if key_sum > 0 then
  redis.call('HSET', KEYS[3], id, write_hold(h), SUM, int(sum), key_field(digest), int(key_sum))
else
  redis.call('HSET', KEYS[3], id, write_hold(h), SUM, int(sum))
  redis.call('HDEL', KEYS[3], key_field(digest))
end

local record = redis.call('GET', KEYS[1])
if not record or string.sub(record, 1, 6) == 'would-' then return 1 end -- what only counts took nothing
local tokens, now = {InputTokensPerMinute = tonumber(ARGV[3]), OutputTokensPerMinute = tonumber(ARGV[4])}, nil
local rate

-- A bucket gets back what was estimated too much, and gives what was estimated too little, below empty, too: what comes back
-- pays the debt before anything else passes, or requests that take more than was thought would pass the limit for ever. One
-- minute's worth is the most that it owes beyond empty: whoever passed the limit waits a minute, as with a window of one.
local MINUTE = 60000000

local function correct(unit, limit, burst, estimated, used)
  local one_us, one_ps = rate.interval(limit)
  local full_us, full_ps = rate.times(burst, one_us, one_ps)
  local most_us, most_ps = rate.span(full_us + MINUTE, full_ps)
  local stored = redis.call('HMGET', KEYS[2], rate.at_field(unit), rate.more_field(unit))
  local us, ps = rate.debt(stored[1], stored[2], now)
  local by_us, by_ps = rate.times(math.abs(used - estimated), one_us, one_ps)
  if used < estimated then
    if rate.longer(by_us, by_ps, us, ps) then by_us, by_ps = us, ps end
    us, ps = rate.span(us - by_us, ps - by_ps)
  elseif not rate.longer(us, ps, most_us, most_ps) then -- it may owe more already, from a larger burst before
    us, ps = rate.span(us + by_us, ps + by_ps)
    if rate.longer(us, ps, most_us, most_ps) then us, ps = most_us, most_ps end
  end
  redis.call('HSET', KEYS[2], rate.at_field(unit), int(now + us), rate.more_field(unit), int(ps))
  local life = math.ceil((us + math.min(1, ps)) / 1000)
  if redis.call('PTTL', KEYS[2]) < life then redis.call('PEXPIRE', KEYS[2], int(life)) end
end

for unit, limit, burst, estimated in string.gmatch(record, '([A-Za-z]+PerMinute) ([0-9]+) ([0-9]+) ([0-9]+)') do
  local used, reserved = tokens[unit], tonumber(estimated)
  if used and used ~= reserved then
    if not now then
      local clock = redis.call('TIME')
      now, rate = tonumber(clock[1]) * 1000000 + tonumber(clock[2]), spans()
    end
    correct(unit, tonumber(limit), tonumber(burst), reserved, used)
  end
end
return 1
