-- Decides one request: every check before any write; a refusal changes no key.
--
-- KEYS  1 record of this request id   2 key state (hash s, v, at, e)   3 rates of this key (hash)   4 copy of the account (hash b, v, e)
--       5 holds (hash)   6 holds by expiry (zset)   7 running requests (zset)   8 what this key has spent (hash 'Period start' -> nano-USD and epoch)
-- ARGV  1 request id   2 key digest   3 key version   4 epoch   5 how old a key state may be, us   6 hold, nano-USD
--       7 '1' if unmetered   8 '1' to decide only   9 life of the hold, us   10 least life of the holds' keys, ms
--       11 running requests of the key at most (0: no limit)   12 spend cap, nano-USD, or ''   13 its period
--       14 owner of the hold, or '': it ends by time   15 '1' if the owner's list has this account   16 least amount that
--       is worth admitting (0: all or nothing)   17 amount to hold   18 where this much is free (0: never)   19 '1' to count
--       and refuse nothing   20... for each rate its unit, value, burst (0: a day) and cost
--
-- The answer is a reply, and '1' if the owner's hold stands. A reply, which is also the record of an admission, is words
-- with one space between: outcome ('would-' and the refusal where only counting admitted it), retry after us, now us,
-- spendable, reserved, start of the cap's window, refusing rule or -, its limit, used, reset us, held, what fits; then for each rate its
-- unit, value, burst, cost and, after the decision, its debt in us and ps, or the day's count and reset us.
local BATCH = 500

local known, standing = redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[5], ARGV[1])
standing = standing and read_hold(standing)
local mine = standing and standing.owner ~= '' and standing.owner == ARGV[14] and '1' or '0'
if known then return {known, mine} end

local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000000 + tonumber(clock[2])
local id, digest, epoch, hold = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[6])
local metered, preview = ARGV[7] ~= '1', ARGV[8] == '1'
local ends = int(now + tonumber(ARGV[9]))
local spendable, reserved, retry = 0, 0, 0
local window, window_ends = 0, 0
local owner, floor, expected, healthy = ARGV[14], tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
local shadow, would, amount, fits = ARGV[19] == '1', nil, 0, 0
if ARGV[12] ~= '' then window, window_ends = window_of(ARGV[13], second) end

local rates, fields = {}, {}
local measured = {} -- the rates, once they are checked
for i = 20, #ARGV, 4 do
  local unit = ARGV[i]
  rates[#rates + 1] = {
    unit = unit, value = tonumber(ARGV[i + 1]), burst = tonumber(ARGV[i + 2]), cost = tonumber(ARGV[i + 3]),
    us = 0, ps = 0, wait = 0,
  }
  fields[#fields + 1] = at_field(unit)
  fields[#fields + 1] = more_field(unit)
end

local function reply(outcome, rule, limit, used, reset)
  local words = {
    outcome, int(retry), int(now), int(spendable), int(reserved), int(window), rule or '-', int(limit or 0), int(used or 0), int(reset or 0),
    int(amount), int(fits),
  }
  for _, r in ipairs(measured) do
    for _, word in ipairs({r.unit, int(r.value), int(r.burst), int(r.cost), int(r.us), int(r.ps)}) do words[#words + 1] = word end
  end
  return table.concat(words, ' ')
end

local function answer(outcome) return {reply(outcome), '0'} end

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

-- The rates: what each has, what it would have after this request, and how long that is too early.
local function bucket(r, at, more)
  r.us, r.ps = debt(at, more, now)
  local one_us, one_ps = interval(r.value)
  local full_us, full_ps = times(r.burst, one_us, one_ps)
  local cost_us, cost_ps = times(r.cost, one_us, one_ps)
  r.next_us, r.next_ps = r.us + cost_us, r.ps + cost_ps
  if r.next_ps >= 1000000 then r.next_us, r.next_ps = r.next_us + 1, r.next_ps - 1000000 end
  if longer(r.next_us, r.next_ps, full_us, full_ps) then
    r.wait = r.next_us - full_us
    if r.next_ps > full_ps then r.wait = r.wait + 1 end
  end
  r.at, r.more, r.life = now + r.next_us, r.next_ps, r.next_us + math.min(1, r.next_ps)
end

local function daily(r, at, more)
  -- After a clock was set back over midnight, the later day goes on.
  local today = math.max(window_of('Day', second), tonumber(at or 0))
  local tomorrow = (today + DAY) * 1000000 - now
  if at and tonumber(at) == today then r.us = tonumber(more) end
  r.next_us, r.next_ps, r.ps = r.us + r.cost, tomorrow, tomorrow
  if r.next_us > r.value then r.wait = tomorrow end
  r.at, r.more, r.life = today, r.next_us, tomorrow
end

local function check_rates()
  local stored, worst = redis.call('HMGET', KEYS[3], unpack(fields)), nil
  for i, r in ipairs(rates) do
    local measure = r.burst == 0 and daily or bucket
    measure(r, stored[2 * i - 1], stored[2 * i])
    if r.wait > 0 and (not worst or r.wait > worst.wait) then worst = r end
  end
  measured = rates
  return worst
end

local function take_rates()
  for _, r in ipairs(rates) do r.us, r.ps = r.next_us, r.next_ps end
end

local function write_rates()
  local values, life = {}, 0
  for _, r in ipairs(rates) do
    if r.cost > 0 then
      for _, word in ipairs({at_field(r.unit), int(r.at), more_field(r.unit), int(r.more)}) do values[#values + 1] = word end
      life = math.max(life, math.ceil(r.life / 1000))
    end
  end
  if #values == 0 then return end
  redis.call('HSET', KEYS[3], unpack(values))
  if redis.call('PTTL', KEYS[3]) < life then redis.call('PEXPIRE', KEYS[3], int(life)) end
end

-- The key. A tombstone always wins; a disabled row wins over a caller who knows an older one. A state from before the
-- store was set back or lost data, or too old a one, is read again.
local key = redis.call('HMGET', KEYS[2], 's', 'v', 'at', 'e')
if not key[1] then return answer('reload-key') end
local stored, asked, age = tonumber(key[2]), tonumber(ARGV[3]), now - tonumber(key[3] or 0)
if key[1] == 'revoked' or (key[1] ~= 'active' and stored >= asked) then return answer('key-refused') end
if stored ~= asked or age < 0 or age > tonumber(ARGV[5]) or tonumber(key[4] or 0) < epoch then return answer('reload-key') end

-- Rates. The one that takes longest says when the request passes.
if #rates > 0 then
  local worst = check_rates()
  if worst then
    local refusal = refuse('rate-limited', worst.wait, worst.unit)
    if refusal then return refusal end
  end
end

-- Concurrency: the requests of the key that run and are not past their time.
local most = tonumber(ARGV[11])
if most > 0 then
  local first, last = string.format('[%s %s', digest, int(now + 1)), string.format('(%s :', digest)
  local running = redis.call('ZLEXCOUNT', KEYS[7], first, last)
  if running >= most then
    local function left(member) return tonumber(string.match(string.sub(member, #digest + 2), '^[0-9]+')) - now end
    local wait = left(redis.call('ZRANGEBYLEX', KEYS[7], first, last, 'LIMIT', int(running - most), 1)[1])
    local longest = redis.call('ZREVRANGEBYLEX', KEYS[7], last, first, 'LIMIT', 0, 1)[1]
    local refusal = refuse('too-many-concurrent', wait, 'MaxConcurrentRequests', most, running, left(longest))
    if refusal then return refusal end
  end
end

local account = redis.call('HMGET', KEYS[4], 'b', 'e')
if not account[1] or tonumber(account[2] or 0) < epoch then return answer('reload-account') end
spendable = tonumber(account[1])

-- Holds past their time count no more; an admission takes away those that it saw.
local sums = redis.call('HMGET', KEYS[5], SUM, key_field(digest))
local sum, key_sum = tonumber(sums[1] or 0), tonumber(sums[2] or 0)
local dead, freed, freed_of = {}, 0, {[digest] = 0}
local more = true

local function look()
  local ids = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', int(now), 'LIMIT', #dead, BATCH)
  more = #ids == BATCH
  if #ids == 0 then return end
  local values = redis.call('HMGET', KEYS[5], unpack(ids))
  for i, one in ipairs(ids) do
    local h = read_hold(values[i] or '')
    h.id = one
    dead[#dead + 1] = h
    freed = freed + h.amount
    freed_of[h.digest] = (freed_of[h.digest] or 0) + h.amount
  end
end

look()

-- The cap and the credits: the hold is what is expected where much is free, else the worst case, else what fits.
local function credit_room() return spendable - (sum - freed) end

local cap, spent = nil, 0
if metered and ARGV[12] ~= '' then
  local copy = redis.call('HGET', KEYS[8], string.format('%s %s', ARGV[13], int(window)))
  local of
  spent, of = read_spent(copy)
  if not copy or of < epoch then return answer('reload-cap') end
  cap = tonumber(ARGV[12])
end

local function cap_used() return spent + key_sum - freed_of[digest] end
local function room()
  if cap then return math.min(credit_room(), cap - cap_used()) end
  return credit_room()
end

while metered and room() < math.max(hold, healthy) and more do look() end
reserved = sum - freed
if metered then
  local free = room()
  fits = math.max(0, free)
  if healthy > 0 and free >= healthy then
    amount = expected
  elseif free >= hold then
    amount = hold
  elseif floor > 0 and free >= floor then
    amount = free
  else
    local least, refusal = floor > 0 and floor or hold, nil
    if cap and cap_used() + least > cap then
      local left = window_ends * 1000000 - now
      refusal = refuse('cap-reached', left, 'SpendCap', cap, cap_used(), left)
    else
      refusal = refuse('insufficient-credits', 0, 'Credits', spendable, reserved)
    end
    if refusal then return refusal end
    amount = math.max(0, math.min(hold, 9000000000000000 - reserved)) -- sums stay exact
  end
end
local decision
if would then
  retry = would[6]
  decision = reply(would[1], would[2], would[3], would[4], would[5])
else
  take_rates()
  decision = reply('admitted')
end
if preview then return {decision, '0'} end
if owner ~= '' and ARGV[15] ~= '1' then return answer('join') end

-- All passed: from here on only writes.
if not would then write_rates() end

local function remove_dead()
  for first = 1, #dead, BATCH do
    local ids, slots = {}, {}
    for i = first, math.min(first + BATCH - 1, #dead) do
      ids[#ids + 1] = dead[i].id
      slots[#slots + 1] = slot(dead[i].digest, dead[i].ends, dead[i].id)
    end
    redis.call('HDEL', KEYS[5], unpack(ids))
    redis.call('ZREM', KEYS[6], unpack(ids))
    redis.call('ZREM', KEYS[7], unpack(slots))
  end
  for of, amount in pairs(freed_of) do
    if amount > 0 then
      set_key_sum(KEYS[5], of, tonumber(redis.call('HGET', KEYS[5], key_field(of)) or 0) - amount)
    end
  end
  sum, key_sum = sum - freed, key_sum - freed_of[digest]
end

-- A record may age a moment before its hold is seen as dead: the same id again takes the old hold's place.
local function remove_old()
  local value = redis.call('HGET', KEYS[5], id)
  if not value then return end
  local h = read_hold(value)
  redis.call('ZREM', KEYS[7], slot(h.digest, h.ends, id))
  sum = sum - h.amount
  if h.digest == digest then
    key_sum = key_sum - h.amount
  elseif h.amount > 0 then
    set_key_sum(KEYS[5], h.digest, tonumber(redis.call('HGET', KEYS[5], key_field(h.digest)) or 0) - h.amount)
  end
end

-- Holds of owners have no end: neither has the key that has some.
local lasting = owner ~= '' or redis.call('PTTL', KEYS[5]) == -1
if #dead > 0 then remove_dead() end
if standing then remove_old() end
local new = {amount = amount, ends = ends, running = '1', digest = digest, owner = owner, at = int(now), record = ''}
redis.call('HSET', KEYS[5], id, write_hold(new), SUM, int(sum + amount))
set_key_sum(KEYS[5], digest, key_sum + amount)
if owner == '' then redis.call('ZADD', KEYS[6], ends, id) end
redis.call('ZADD', KEYS[7], 0, slot(digest, ends, id))
local held_for = math.ceil(tonumber(ARGV[9]) / 1000)
local life = math.max(tonumber(ARGV[10]), held_for)
for i = 5, 7 do
  if i == 5 and lasting then
    redis.call('PERSIST', KEYS[5])
  elseif redis.call('PTTL', KEYS[i]) < life then
    redis.call('PEXPIRE', KEYS[i], int(life))
  end
end
redis.call('SET', KEYS[1], decision, 'PX', int(held_for))
return {decision, owner ~= '' and '1' or '0'}
