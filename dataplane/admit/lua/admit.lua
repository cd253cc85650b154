-- Decides one request: every check before any write; a refusal changes no key. What most requests need is here, in few commands,
-- functions and numbers made text, each of which costs 0.1 to 2 us (hack/adr/0007); the rest is in rare.lua.
--
-- KEYS  1 record of this request id   2 key state (hash s, v, at, e)   3 copy of the account (hash b, v, e, at, n, s)   4 holds (hash)
--       5 running requests (zset)   6 holds by expiry (zset); with rates, those of this key (hash); with a cap, what this key has
--       spent (hash 'Period start' -> nano-USD and epoch)
-- ARGV  1 request id   2 what it is counted under   3 key version   4 epoch   5 flags, each 0 or 1: unmetered, decide only, the owner's list
--       has this account, count and refuse nothing, there is a cap, the ledger is away, an overdraft, a limit of running requests, a record
--       6 owner of the hold, or '': it ends by time   7 life of the hold, us   8 hold, nano-USD   9 least amount that is worth
--       admitting (0: all or nothing)   10 amount to hold   11 where this much is free (0: never); then, if its flag is set, the
--       overdraft, how many may run, what to store in an owner's hold (any bytes), the cap's amount and period; then for each rate
--       its unit, value, burst (0: a day) and cost
--
-- Constants stand before: KEY_AGE and COPY_AGE, how old copies of a key and of an account may be, us, and COPY_AGE and AWAY_AGE while the
-- ledger is away; AWAY_MOST, how much may be held then; IDLE, the least life of keys of holds, ms.
--
-- The answer is the decision, after a '-' where an id came again whose hold is not this owner's, or stands no more. The decision, which is
-- also stored, is words with commas between: outcome ('would-' and the refusal where only counting admitted it), retry after us, now us,
-- spendable, reserved, start of the cap's window, refusing rule or -, its limit, used, reset us, held, what fits (-: what is neither
-- spent nor reserved); then for each rate its unit, value, burst, cost and, after the decision, its debt in us and ps, or the day's
-- count and reset us.
local SET = 49 -- the character 1
local format = string.format
local id, digest, owner = ARGV[1], ARGV[2], ARGV[6]
local of_key = format('key %s', digest)
local holds = redis.call('HMGET', KEYS[4], id, '', of_key, ' ') -- its own, the sums, and whether the key has no end
local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000000 + tonumber(clock[2])

local tools, standing
if holds[1] then
  tools = rare()
  standing = tools.read_hold(holds[1])
  local known = tools.again(standing, owner, now)
  if known then return known end
else
  local known = redis.call('GET', KEYS[1])
  if known then return format('-%s', known) end
end

local unmetered, preview, joined, shadow, capped, away, overdrawn, limited, recorded = string.byte(ARGV[5], 1, 9)
local next_arg, overdraft, most, record, cap, period, window, window_ends = 12, nil, nil, nil, nil, nil, 0, 0
if overdrawn == SET then overdraft, next_arg = tonumber(ARGV[next_arg]), next_arg + 1 end
if limited == SET then most, next_arg = tonumber(ARGV[next_arg]), next_arg + 1 end
if recorded == SET then record, next_arg = ARGV[next_arg], next_arg + 1 end
if capped == SET then
  cap, period, next_arg = tonumber(ARGV[next_arg]), ARGV[next_arg + 1], next_arg + 2
  window, window_ends = calendar()(period, second)
end

-- The key. A tombstone always wins; a disabled row wins over a caller who knows an older one. A state from before the
-- store was set back or lost data, or too old a one, is read again.
local key = redis.call('HMGET', KEYS[2], 's', 'v', 'at', 'e')
local state, age = key[1], now - (key[3] or 0)
if state ~= 'active' or key[2] ~= ARGV[3] or age < 0 or age > (away == SET and COPY_AGE or KEY_AGE) or
  key[4] ~= ARGV[4] and tonumber(key[4] or 0) < tonumber(ARGV[4]) then
  local refused = state == 'revoked' or state and state ~= 'active' and tonumber(key[2]) >= tonumber(ARGV[3])
  return rare().reply(refused and 'key-refused' or 'reload-key', {now = now, window = window})
end

-- What the answer says. A refusal that is only counted is the first one: its outcome and numbers.
local spendable, reserved, fits = 0, 0, 0
local measured, would, would_be

local function refuse(outcome, n)
  if shadow == SET then
    if not would then would, would_be = outcome, n end
    return nil
  end
  n.now, n.spendable, n.reserved, n.window, n.fits = now, spendable, reserved, window, fits
  tools = tools or rare()
  return tools.reply(outcome, n, measured)
end

-- Rates. The one that takes longest says when the request passes.
local rates
if next_arg <= #ARGV then
  rates = rates_of(next_arg, now, second)
  measured = rates.before
end

-- The account's state, which refuses also where only counting and where nothing is charged. It may be served again since: of a copy
-- that nobody has renewed of late it is read again, unless there is nobody to ask.
local account = redis.call('HMGET', KEYS[3], 'b', 'e', 'n', 'at', 's')
age = now - (account[4] or 0)
local fresh = age >= 0 and age <= (away == SET and AWAY_AGE or COPY_AGE)
local outdated = account[2] ~= ARGV[4] and tonumber(account[2] or 0) < tonumber(ARGV[4])
if account[5] then
  local known = away == SET or fresh and not outdated
  return rare().reply(known and 'account-suspended' or 'reload-account', {now = now, window = window}, measured)
end

if rates and rates.worst then
  local refusal = refuse('rate-limited', {retry = rates.worst.wait, rule = rates.worst.unit})
  if refusal then return refusal end
end

-- Concurrency: the requests of the key that run and are not past their time.
if most then
  local first, last = format('[%s %.0f', digest, now + 1), format('(%s :', digest)
  local running = redis.call('ZLEXCOUNT', KEYS[5], first, last)
  if running >= most then
    tools = tools or rare()
    local wait, longest = tools.crowded(digest, first, last, most, running, now)
    local refusal = refuse('too-many-concurrent', {retry = wait, rule = 'MaxConcurrentRequests', limit = most, used = running, reset = longest})
    if refusal then return refusal end
  end
end

-- The account's copy is of this epoch, nothing has changed by the clock since, and somebody has renewed it of late: what was
-- settled or granted and never told of here is heard of then.
local balance, changes = account[1], account[3]
if not balance or outdated or
  changes and tonumber(changes) > 0 and now >= tonumber(changes) or unmetered ~= SET and not fresh and away ~= SET then
  return rare().reply('reload-account', {now = now, window = window}, measured)
end
spendable = tonumber(balance)
if overdraft then spendable = spendable + overdraft end

-- Holds past their time count no more; an admission takes away those that it saw. Owners' holds have no time, so that it looks
-- for others only where they are in the way.
local sum, key_sum, gone = tonumber(holds[2] or 0), tonumber(holds[3] or 0), nil
local hold, amount, held = tonumber(ARGV[8]), 0, '0'
if owner == '' then
  tools = tools or rare()
  gone = {dead = {}, freed = 0, of = {[digest] = 0}, more = true}
  tools.look(gone, now)
  sum, key_sum = sum - gone.freed, key_sum - gone.of[digest]
end
reserved = sum

-- The cap and the credits: the hold is what is expected where much is free, else the worst case, else what fits.
if unmetered ~= SET then
  local healthy, spent, lent = tonumber(ARGV[11]), 0, nil
  if cap then
    local copy, of = redis.call('HGET', KEYS[rates and 8 or 7], format('%s %.0f', period, window)), nil
    tools = tools or rare()
    spent, of = tools.read_spent(copy)
    if not copy or of < tonumber(ARGV[4]) then
      return tools.reply('reload-cap', {now = now, spendable = spendable, window = window}, measured)
    end
  end
  -- While the ledger is away all that is held was spent since, and may be so much at most; nothing on a copy that is too old.
  if away == SET then lent = fresh and math.min(math.floor(spendable / 2), AWAY_MOST) or -9000000000000000 end
  local free
  while true do
    free = spendable - sum
    if lent and lent - sum < free then free = lent - sum end
    if cap and cap - spent - key_sum < free then free = cap - spent - key_sum end
    if free >= hold and free >= healthy or gone and not gone.more then break end
    tools = tools or rare()
    gone = gone or {dead = {}, freed = 0, of = {[digest] = 0}, more = true}
    sum, key_sum = sum + gone.freed, key_sum + gone.of[digest]
    tools.look(gone, now)
    sum, key_sum = sum - gone.freed, key_sum - gone.of[digest]
  end
  reserved = sum
  if free > 0 then fits = free end
  if healthy > 0 and free >= healthy then
    amount, held = tonumber(ARGV[10]), ARGV[10]
  elseif free >= hold then
    amount, held = hold, ARGV[8]
  else
    local floor = tonumber(ARGV[9])
    if floor > 0 and free >= floor then
      amount, held = free, format('%.0f', free)
    else
      local least, used, refusal = floor > 0 and floor or hold, spent + key_sum, nil
      if cap and used + least > cap then
        local left = window_ends * 1000000 - now
        refusal = refuse('cap-reached', {retry = left, rule = 'SpendCap', limit = cap, used = used, reset = left})
      elseif spendable - reserved < least then
        refusal = refuse('insufficient-credits', {rule = 'Credits', limit = spendable, used = reserved})
      else
        refusal = refuse('ledger-away', {})
      end
      if refusal then return refusal end
      amount = math.max(0, math.min(hold, 9000000000000000 - reserved)) -- sums stay exact
      held = format('%.0f', amount)
    end
  end
end

-- To write a number takes as long as a short command: what is text already is not written again.
local now_text = format('%.0f', now)
local decision
if would then
  would_be.now, would_be.spendable, would_be.reserved, would_be.window, would_be.amount, would_be.fits = now, spendable, reserved, window, amount, fits
  decision = (tools or rare()).reply(format('would-%s', would), would_be, measured)
else
  decision = format('admitted,0,%s,%s,%s,%s,-,0,0,0,%s,%s', now_text,
    overdraft and format('%.0f', spendable) or balance,
    gone and format('%.0f', reserved) or holds[2] or '0',
    cap and format('%.0f', window) or '0',
    held, unmetered == SET and '0' or (cap or away == SET) and format('%.0f', fits) or '-')
  if rates then decision = rates.after(decision) end
end
if preview == SET then return decision end
if owner ~= '' and joined ~= SET then return rare().reply('join', {now = now}) end

-- All passed: from here on only writes.
if rates and not would then rates.write() end
if gone and #gone.dead > 0 then
  tools.bury(gone, digest)
  if standing and redis.call('HEXISTS', KEYS[4], id) == 0 then standing = nil end
end
-- A record may age a moment before its hold is seen as dead: the same id again takes the old hold's place.
if standing then
  local less, less_of_key = tools.replace(id, standing, digest)
  sum, key_sum = sum - less, key_sum - less_of_key
end

local ends = format('%.0f', now + tonumber(ARGV[7]))
local value = format('%s %s 1 %s %s %s %s ', held, ends, digest, owner, now_text, decision)
if record and owner ~= '' then value = table.concat({value, record}) end -- string.format stops at a zero
local lasting = holds[4] or owner ~= '' or redis.call('PTTL', KEYS[4]) == -1
local all, all_of_key = sum + amount, key_sum + amount
if all_of_key > 0 then
  redis.call('HSET', KEYS[4], id, value, '', all, of_key, all_of_key)
else
  redis.call('HSET', KEYS[4], id, value, '', all)
  if holds[3] then redis.call('HDEL', KEYS[4], of_key) end
end
redis.call('ZADD', KEYS[5], '0', format('%s %s %s', digest, ends, id))

-- Holds of owners have no end: neither has the key that has some, nor that of their slots, which go with them.
if not holds[4] then
  if lasting then
    redis.call('HSET', KEYS[4], ' ', '1')
    redis.call('PERSIST', KEYS[4])
    redis.call('PERSIST', KEYS[5])
  else
    tools.live(math.max(IDLE, math.ceil(tonumber(ARGV[7]) / 1000)), {KEYS[4], KEYS[5]})
  end
end
if owner == '' then
  redis.call('ZADD', KEYS[6], ends, id)
  tools.live(math.max(IDLE, math.ceil(tonumber(ARGV[7]) / 1000)), {KEYS[6]})
end
return decision
