-- Makes a hold its request's actual cost, frees its slot and corrects the token buckets, once; an unknown id changes
-- nothing, and is answered with 0.
--
-- KEYS  1 rates of its key   2 holds   3 running requests
-- ARGV  1 request id   2 actual cost, nano-USD   3 input tokens   4 output tokens   5 the settlement, any bytes   6 key digest
local id, digest, actual = ARGV[1], ARGV[6], tonumber(ARGV[2])
local stored = redis.call('HMGET', KEYS[2], id, SUM, key_field(digest))
if not stored[1] then return 0 end
local h = read_hold(stored[1])
if h.running == '0' then return 1 end

local sum, key_sum = tonumber(stored[2] or 0) - h.amount + actual, stored[3]
if h.digest ~= digest then digest, key_sum = h.digest, redis.call('HGET', KEYS[2], key_field(h.digest)) end
key_sum = tonumber(key_sum or 0) - h.amount + actual
redis.call('ZREM', KEYS[3], slot(digest, h.ends, id))
h.amount, h.running, h.record = actual, '0', ARGV[5]
if key_sum > 0 then
  redis.call('HSET', KEYS[2], id, write_hold(h), SUM, int(sum), key_field(digest), int(key_sum))
else
  redis.call('HSET', KEYS[2], id, write_hold(h), SUM, int(sum))
  redis.call('HDEL', KEYS[2], key_field(digest))
end

if string.sub(h.decision, 1, 6) == 'would-' then return 1 end -- what only counts took nothing
local tokens, now = {InputTokensPerMinute = tonumber(ARGV[3]), OutputTokensPerMinute = tonumber(ARGV[4])}, nil
local span, interval, times, longer, debt, stored_rate

-- A bucket gets back what was estimated too much, and gives what was estimated too little, below empty, too: what comes back
-- pays the debt before anything else passes, or requests that take more than was thought would pass the limit for ever. One
-- minute's worth is the most that it owes beyond empty: whoever passed the limit waits a minute, as with a window of one.
local MINUTE = 60000000

local function correct(unit, limit, burst, estimated, used)
  local one_us, one_ps = interval(limit)
  local full_us, full_ps = times(burst, one_us, one_ps)
  local most_us, most_ps = span(full_us + MINUTE, full_ps)
  local at, more = stored_rate(redis.call('HGET', KEYS[1], unit))
  local us, ps = debt(at, more, now)
  local by_us, by_ps = times(math.abs(used - estimated), one_us, one_ps)
  if used < estimated then
    if longer(by_us, by_ps, us, ps) then by_us, by_ps = us, ps end
    us, ps = span(us - by_us, ps - by_ps)
  elseif not longer(us, ps, most_us, most_ps) then -- it may owe more already, from a larger burst before
    us, ps = span(us + by_us, ps + by_ps)
    if longer(us, ps, most_us, most_ps) then us, ps = most_us, most_ps end
  end
  redis.call('HSET', KEYS[1], unit, string.format('%.0f %.0f', us + now, ps))
  local life = math.ceil((us + math.min(1, ps)) / 1000)
  if redis.call('PTTL', KEYS[1]) < life then redis.call('PEXPIRE', KEYS[1], int(life)) end
end

for unit, limit, burst, estimated in string.gmatch(h.decision, '([A-Za-z]+PerMinute),([0-9]+),([0-9]+),([0-9]+)') do
  local used, reserved = tokens[unit], tonumber(estimated)
  if used and used ~= reserved then
    if not now then
      local clock = redis.call('TIME')
      now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
      span, interval, times, longer, debt, stored_rate = spans()
      if tonumber(h.ends) <= now then return 1 end -- nobody asks about it any more
    end
    correct(unit, tonumber(limit), tonumber(burst), reserved, used)
  end
end
return 1
