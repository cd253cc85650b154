-- Decides one request: every check before any write; a refusal changes no key.
--
-- KEYS  1 record of this request id   2 key state (hash s, v)      3 theoretical arrival time of this key's requests
--       4 copy of the account (hash b, v)  5 holds (hash id -> amount, and their sum)  6 holds by expiry (zset)
-- ARGV  1 request id   2 key version   3 emission interval, us (0: no limit)   4 burst   5 limit a minute
--       6 hold, nano-USD   7 '1' if unmetered   8 life of the hold, us   9 least life of the holds' keys, ms
--
-- Money and microseconds are doubles: exact below 9e15. Their text is not, unless %.0f writes it, so they become text in
-- no other way. The sum of the holds stands beside them under the empty id, so that they are lost together or not at all.
--
-- A reply, which is also the record of an admission: outcome, limit, remaining, reset us, retry after us, now us,
-- spendable, reserved.
local SUM = ''
local BATCH = 500

local known = redis.call('GET', KEYS[1])
if known then return known end

local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])

local interval, burst, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local hold, metered = tonumber(ARGV[6]), ARGV[7] ~= '1'
-- 4e15 us are 126 years: a longer window is no limit, and sums with now stay exact.
local window = math.min(interval * burst, 4000000000000000)
local tat = now
local rated, retry, spendable, reserved = false, 0, 0, 0

local function reply(outcome)
  local remaining, reset = 0, 0
  if rated then
    reset = tat - now
    remaining = math.max(0, math.min(limit, math.floor((window - reset) / interval)))
  end
  return string.format('%s %.0f %.0f %.0f %.0f %.0f %.0f %.0f',
    outcome, rated and limit or 0, remaining, reset, retry, now, spendable, reserved)
end

-- The key. A tombstone always wins; a disabled row wins over a caller who knows an older one.
local key = redis.call('HMGET', KEYS[2], 's', 'v')
if not key[1] then return reply('reload-key') end
local stored, asked = tonumber(key[2]), tonumber(ARGV[2])
if key[1] == 'revoked' or (key[1] ~= 'active' and stored >= asked) then return reply('key-refused') end
if stored ~= asked then return reply('reload-key') end

-- Requests per minute, by GCRA.
local after = now
if interval > 0 then
  rated = true
  tat = math.max(now, tonumber(redis.call('GET', KEYS[3]) or 0))
  after = tat + interval
  if after - now > window then
    retry = after - now - window
    return reply('rate-limited')
  end
end

-- Credits. Holds past their time count no more; an admission takes away those that it saw.
local account = redis.call('HGET', KEYS[4], 'b')
if not account then return reply('reload-account') end
spendable = tonumber(account)
local sum = tonumber(redis.call('HGET', KEYS[5], SUM) or 0)
local dead, freed = {}, 0

local function look()
  local ids = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', string.format('%.0f', now), 'LIMIT', #dead, BATCH)
  if #ids == 0 then return 0 end
  local amounts = redis.call('HMGET', KEYS[5], unpack(ids))
  for i, id in ipairs(ids) do
    dead[#dead + 1] = id
    freed = freed + tonumber(amounts[i] or 0)
  end
  return #ids
end

local more = look()
while metered and spendable - (sum - freed) < hold and more == BATCH do more = look() end
reserved = sum - freed
if metered and spendable - reserved < hold then return reply('insufficient-credits') end

-- All passed: from here on only writes.
tat = after
if interval > 0 then
  redis.call('SET', KEYS[3], string.format('%.0f', tat), 'PX', string.format('%.0f', math.ceil((tat - now) / 1000)))
end
for first = 1, #dead, BATCH do
  local last = math.min(first + BATCH - 1, #dead)
  redis.call('HDEL', KEYS[5], unpack(dead, first, last))
  redis.call('ZREM', KEYS[6], unpack(dead, first, last))
end
local amount = metered and hold or 0
-- A record may age a moment before its hold is seen as dead: the same id again takes the old hold's place.
local old = tonumber(redis.call('HGET', KEYS[5], ARGV[1]) or 0)
redis.call('HSET', KEYS[5], ARGV[1], string.format('%.0f', amount), SUM, string.format('%.0f', reserved - old + amount))
redis.call('ZADD', KEYS[6], string.format('%.0f', now + tonumber(ARGV[8])), ARGV[1])
local life = math.max(tonumber(ARGV[9]), math.ceil(tonumber(ARGV[8]) / 1000))
if redis.call('PTTL', KEYS[5]) < life then
  redis.call('PEXPIRE', KEYS[5], string.format('%.0f', life))
  redis.call('PEXPIRE', KEYS[6], string.format('%.0f', life))
end
local decision = reply('admitted')
redis.call('SET', KEYS[1], decision, 'PX', string.format('%.0f', math.ceil(tonumber(ARGV[8]) / 1000)))
return decision
