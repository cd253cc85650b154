-- Decides one request: every check before any write; a refusal changes no key. What it does for most requests comes in few
-- commands and makes few functions: see hack/bench/admission.
--
-- KEYS  1 record of this request id   2 key state (hash s, v, at, e)   3 copy of the account (hash b, v, e, at, n)   4 holds (hash)
--       5 running requests (zset)   6 holds by expiry (zset)   7 rates of this key (hash)
--       8 what this key has spent (hash 'Period start' -> nano-USD and epoch)
-- ARGV  1 request id   2 key digest   3 key version   4 epoch   5 how old a key state may be, us   6 flags, each 0 or 1:
--       unmetered, decide only, the owner's list has this account, count and refuse nothing, there is a cap, the ledger is away
--       7 owner of the hold, or '': it ends by time   8 what to store in an owner's hold, any bytes   9 life of the hold, us
--       10 least life of the holds' keys, ms   11 hold, nano-USD   12 least amount that is worth admitting (0: all or nothing)
--       13 amount to hold   14 where this much is free (0: never)   15 overdraft   16 running requests of the key at most (0: no limit)
--       17 how old the copy of the account may be, us; with a cap, its amount and period; with the ledger away, how much may be
--       held; then for each rate its unit, value, burst (0: a day) and cost
--
-- The answer is a reply, and '1' if the owner's hold stands. A reply, which is also the record of an admission, is words
-- with one space between: outcome ('would-' and the refusal where only counting admitted it), retry after us, now us,
-- spendable, reserved, start of the cap's window, refusing rule or -, its limit, used, reset us, held, what fits; then for each rate its
-- unit, value, burst, cost and, after the decision, its debt in us and ps, or the day's count and reset us.
local SET, BATCH = 49, 500 -- the character 1

local id, digest, owner = ARGV[1], ARGV[2], ARGV[7]
local known, of_key = redis.call('GET', KEYS[1]), key_field(digest)
local holds = redis.call('HMGET', KEYS[4], id, SUM, of_key, LASTING)
local standing = holds[1] and read_hold(holds[1])
local mine = standing and standing.owner ~= '' and standing.owner == owner and '1' or '0'
if known then return {known, mine} end

local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now, epoch = second * 1000000 + tonumber(clock[2]), tonumber(ARGV[4])
local now_text = int(now)
local unmetered, preview, joined, shadow, capped, away = string.byte(ARGV[6], 1, 6)
local metered = unmetered ~= SET
shadow = shadow == SET
local next_arg, cap, period, away_most = 18, nil, nil, nil
if capped == SET then cap, period, next_arg = tonumber(ARGV[18]), ARGV[19], 20 end
if away == SET then away_most, next_arg = tonumber(ARGV[next_arg]), next_arg + 1 end

local spendable, reserved, retry, amount, fits = 0, 0, 0, 0, 0
local window, window_ends = 0, 0
if cap then window, window_ends = calendar()(period, second) end
local measured, would -- the rates, once they are checked; the first refusal that only counts

local function reply(outcome, rule, limit, used, reset)
  local text
  if rule or window > 0 then
    text = string.format('%s %.0f %.0f %.0f %.0f %.0f %s %.0f %.0f %.0f %.0f %.0f',
      outcome, retry, now, spendable, reserved, window, rule or '-', limit or 0, used or 0, reset or 0, amount, fits)
  else -- to write a number takes longer than a command
    text = string.format('%s %s %s %.0f %.0f 0 - 0 0 0 %.0f %.0f',
      outcome, retry == 0 and '0' or int(retry), now_text, spendable, reserved, amount, fits)
  end
  if not measured then return text end
  local words = {text}
  for i, r in ipairs(measured) do
    words[i + 1] = string.format('%s %.0f %.0f', r.text, r.us, r.ps)
  end
  return table.concat(words, ' ')
end

-- A refusal; nil where it is only counted, the first one.
local function refuse(outcome, wait, rule, limit, used, reset)
  if not shadow then
    retry = wait
    return {reply(outcome, rule, limit, used, reset), '0'}
  end
  would = would or {string.format('would-%s', outcome), rule, limit, used, reset, wait}
  return nil
end

-- Its record has aged, its hold stands: it was admitted.
if standing and standing.owner ~= '' then
  amount = standing.amount
  return {reply('admitted'), mine}
end

-- The key. A tombstone always wins; a disabled row wins over a caller who knows an older one. A state from before the
-- store was set back or lost data, or too old a one, is read again.
local key = redis.call('HMGET', KEYS[2], 's', 'v', 'at', 'e')
if not key[1] then return {reply('reload-key'), '0'} end
local version, asked, age = tonumber(key[2]), tonumber(ARGV[3]), now - tonumber(key[3] or 0)
if key[1] == 'revoked' or (key[1] ~= 'active' and version >= asked) then return {reply('key-refused'), '0'} end
if version ~= asked or age < 0 or age > tonumber(ARGV[5]) or tonumber(key[4] or 0) < epoch then return {reply('reload-key'), '0'} end

-- Rates. The one that takes longest says when the request passes.
local rates, write_rates
if next_arg <= #ARGV then
  rates, write_rates = rates_of(next_arg, now, second)
  local worst
  for _, r in ipairs(rates) do
    if r.wait > 0 and (not worst or r.wait > worst.wait) then worst = r end
  end
  measured = rates
  if worst then
    local refusal = refuse('rate-limited', worst.wait, worst.unit)
    if refusal then return refusal end
  end
end

-- Concurrency: the requests of the key that run and are not past their time.
local most = tonumber(ARGV[16])
if most > 0 then
  local first, last = string.format('[%s %.0f', digest, now + 1), string.format('(%s :', digest)
  local running = redis.call('ZLEXCOUNT', KEYS[5], first, last)
  if running >= most then
    local function left(member) return tonumber(string.match(string.sub(member, #digest + 2), '^[0-9]+')) - now end
    local wait = left(redis.call('ZRANGEBYLEX', KEYS[5], first, last, 'LIMIT', int(running - most), 1)[1])
    local longest = redis.call('ZREVRANGEBYLEX', KEYS[5], last, first, 'LIMIT', 0, 1)[1]
    local refusal = refuse('too-many-concurrent', wait, 'MaxConcurrentRequests', most, running, left(longest))
    if refusal then return refusal end
  end
end

-- The account: its copy is of this epoch, nothing has changed by the clock since, and somebody has renewed it of late: what was
-- settled or granted and never told of here is heard of then.
local account = redis.call('HMGET', KEYS[3], 'b', 'e', 'n', 'at')
local changes = tonumber(account[3] or 0)
if not account[1] or tonumber(account[2] or 0) < epoch or (changes > 0 and now >= changes) then return {reply('reload-account'), '0'} end
local fresh = young(account[4], now, ARGV[17])
if metered and not fresh and not away_most then return {reply('reload-account'), '0'} end
spendable = tonumber(account[1]) + tonumber(ARGV[15])

-- Holds past their time count no more; an admission takes away those that it saw. Owners' holds have no time, so that it looks
-- for others only where they are in the way.
local sum, key_sum = tonumber(holds[2] or 0), tonumber(holds[3] or 0)
local dead, freed, freed_of, more = {}, 0, {[digest] = 0}, true

local function look()
  local ids = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', int(now), 'LIMIT', #dead, BATCH)
  more = #ids == BATCH
  if #ids == 0 then return end
  local values = redis.call('HMGET', KEYS[4], unpack(ids))
  for i, one in ipairs(ids) do
    local h = read_hold(values[i] or '')
    h.id = one
    dead[#dead + 1] = h
    freed = freed + h.amount
    freed_of[h.digest] = (freed_of[h.digest] or 0) + h.amount
  end
end

if owner == '' then look() end

-- The cap and the credits: the hold is what is expected where much is free, else the worst case, else what fits.
local hold = tonumber(ARGV[11])
if metered then
  local floor, expected, healthy = tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
  local spent, lent = 0, nil
  if cap then
    local copy, of = redis.call('HGET', KEYS[8], string.format('%s %.0f', period, window)), nil
    spent, of = read_spent(copy)
    if not copy or of < epoch then return {reply('reload-cap'), '0'} end
  end
  -- While the ledger is away all that is held was spent since, and may be so much at most; nothing on a copy that is too old.
  if away_most then
    lent = fresh and math.min(math.floor(spendable / 2), away_most) or -9000000000000000
  end
  local function room()
    local free = spendable - (sum - freed)
    if lent then free = math.min(free, lent - (sum - freed)) end
    if cap then free = math.min(free, cap - (spent + key_sum - freed_of[digest])) end
    return free
  end
  while more and room() < math.max(hold, healthy) do look() end
  reserved = sum - freed
  local free = room()
  fits = math.max(0, free)
  if healthy > 0 and free >= healthy then
    amount = expected
  elseif free >= hold then
    amount = hold
  elseif floor > 0 and free >= floor then
    amount = free
  else
    local least, used, refusal = floor > 0 and floor or hold, spent + key_sum - freed_of[digest], nil
    if cap and used + least > cap then
      local left = window_ends * 1000000 - now
      refusal = refuse('cap-reached', left, 'SpendCap', cap, used, left)
    elseif spendable - reserved < least then
      refusal = refuse('insufficient-credits', 0, 'Credits', spendable, reserved)
    else
      refusal = refuse('ledger-away', 0)
    end
    if refusal then return refusal end
    amount = math.max(0, math.min(hold, 9000000000000000 - reserved)) -- sums stay exact
  end
else
  reserved = sum - freed
end

local decision
if would then
  retry = would[6]
  decision = reply(would[1], would[2], would[3], would[4], would[5])
else
  if rates then
    for _, r in ipairs(rates) do r.us, r.ps = r.next_us, r.next_ps end
  end
  decision = reply('admitted')
end
if preview == SET then return {decision, '0'} end
if owner ~= '' and joined ~= SET then return {reply('join'), '0'} end

-- All passed: from here on only writes.
if rates and not would then write_rates() end

if #dead > 0 then
  for first = 1, #dead, BATCH do
    local ids, slots = {}, {}
    for i = first, math.min(first + BATCH - 1, #dead) do
      ids[#ids + 1] = dead[i].id
      slots[#slots + 1] = slot(dead[i].digest, dead[i].ends, dead[i].id)
    end
    redis.call('HDEL', KEYS[4], unpack(ids))
    redis.call('ZREM', KEYS[6], unpack(ids))
    redis.call('ZREM', KEYS[5], unpack(slots))
  end
  for of, less in pairs(freed_of) do
    if less > 0 and of ~= digest then
      local left = tonumber(redis.call('HGET', KEYS[4], key_field(of)) or 0) - less
      if left > 0 then
        redis.call('HSET', KEYS[4], key_field(of), int(left))
      else
        redis.call('HDEL', KEYS[4], key_field(of))
      end
    end
  end
  sum, key_sum = sum - freed, key_sum - freed_of[digest]
  if standing then standing = redis.call('HEXISTS', KEYS[4], id) == 1 and standing end
end

-- A record may age a moment before its hold is seen as dead: the same id again takes the old hold's place.
if standing then
  redis.call('ZREM', KEYS[5], slot(standing.digest, standing.ends, id))
  redis.call('ZREM', KEYS[6], id)
  sum = sum - standing.amount
  if standing.digest == digest then
    key_sum = key_sum - standing.amount
  elseif standing.amount > 0 then
    local left = tonumber(redis.call('HGET', KEYS[4], key_field(standing.digest)) or 0) - standing.amount
    if left > 0 then
      redis.call('HSET', KEYS[4], key_field(standing.digest), int(left))
    else
      redis.call('HDEL', KEYS[4], key_field(standing.digest))
    end
  end
end

-- Holds of owners have no end: neither has the key that has some, nor that of their slots, which go with them.
local life, ends = tonumber(ARGV[9]), int(now + tonumber(ARGV[9]))
local ms = math.ceil(life / 1000)
local lasting = holds[4] or owner ~= '' or redis.call('PTTL', KEYS[4]) == -1
local value
if owner == '' then
  value = string.format('%.0f %s 1 %s', amount, ends, digest)
else
  value = string.format('%.0f %s 1 %s %s %s ', amount, ends, digest, owner, now_text)
  if ARGV[8] ~= '' then value = table.concat({value, ARGV[8]}) end
end
key_sum = key_sum + amount
if key_sum > 0 then
  redis.call('HSET', KEYS[4], id, value, SUM, int(sum + amount), of_key, int(key_sum))
else
  redis.call('HSET', KEYS[4], id, value, SUM, int(sum + amount))
  if holds[3] then redis.call('HDEL', KEYS[4], of_key) end
end
redis.call('ZADD', KEYS[5], 0, slot(digest, ends, id))
if lasting then
  if not holds[4] then
    redis.call('HSET', KEYS[4], LASTING, '1')
    redis.call('PERSIST', KEYS[4])
    redis.call('PERSIST', KEYS[5])
  end
else
  local least = math.max(tonumber(ARGV[10]), ms)
  for i = 4, 5 do
    if redis.call('PTTL', KEYS[i]) < least then redis.call('PEXPIRE', KEYS[i], int(least)) end
  end
end
if owner == '' then
  redis.call('ZADD', KEYS[6], ends, id)
  local least = math.max(tonumber(ARGV[10]), ms)
  if redis.call('PTTL', KEYS[6]) < least then redis.call('PEXPIRE', KEYS[6], int(least)) end
end
redis.call('SET', KEYS[1], decision, 'PX', int(ms))
return {decision, owner ~= '' and '1' or '0'}
