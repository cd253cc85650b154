-- What the scripts share; it stands before each of those that need it.
--
-- Numbers are doubles: exact below 9e15. Their text is not, unless %.0f writes it, so they become text in no other way.
local function int(n) return string.format('%.0f', n) end

-- A span of time is two numbers, whole microseconds and picoseconds below a million: a token of a billion a minute takes
-- 60 ns. 4e15 us are 126 years: more counts as that, and sums with the time of day stay exact.
local FOREVER = 4000000000000000

local function span(us, ps)
  local carry = math.floor(ps / 1000000)
  us, ps = us + carry, ps - carry * 1000000
  if us >= FOREVER then return FOREVER, 0 end
  return us, ps
end

-- The time that one of value a minute takes, rounded up: never more than the limit.
local function interval(value)
  return span(math.floor(60000000 / value), math.ceil(60000000 % value * 1000000 / value))
end

local function times(n, us, ps) return span(n * us, n * ps) end

local function longer(us, ps, than_us, than_ps)
  return us > than_us or (us == than_us and ps > than_ps)
end

-- What a bucket owes now; it is full when it owes nothing. at and more are when it will be full.
local function debt(at, more, now)
  at, more = tonumber(at or 0), tonumber(more or 0)
  if at < now then return 0, 0 end
  return span(at - now, more)
end

-- The two fields of a rule in the hash of a key's rates: of a bucket, when it will be full, in us and ps; of a day, its
-- start in seconds and its count.
local function at_field(unit) return string.format('%s.at', unit) end
local function more_field(unit) return string.format('%s.more', unit) end

-- A hold: 'amount until running digest'; running is 1 until Finish. One that belongs to an owner goes on ' owner at record':
-- when it was made, us, and what Finish stored, any bytes; it does not end by time. The sum of all of them stands beside
-- them under the empty id, and those of each key under 'key digest', so that they are lost together or not at all.
local SUM = ''
local function key_field(digest) return string.format('key %s', digest) end

local function set_key_sum(holds, digest, amount)
  if amount > 0 then
    redis.call('HSET', holds, key_field(digest), int(amount))
  else
    redis.call('HDEL', holds, key_field(digest))
  end
end

local function write_hold(h)
  local words = {int(h.amount), h.ends, h.running, h.digest}
  if h.owner ~= '' then
    for _, word in ipairs({h.owner, h.at, h.record}) do words[#words + 1] = word end
  end
  return table.concat(words, ' ')
end

local function read_hold(value)
  local amount, ends, running, digest, rest = string.match(value, '^([0-9]+) ([0-9]+) ([01]) ([^ ]+)(.*)$')
  local owner, at, record = string.match(rest or '', '^ ([^ ]+) ([0-9]+) (.*)$')
  return {
    amount = tonumber(amount or 0), ends = ends or '', running = running or '0', digest = digest or '',
    owner = owner or '', at = at or '0', record = record or '',
  }
end

-- What tells one state of a hold from another: it only moves by Extend, Finish and Sync.
local function state_of(h) return string.format('%s %s %s', int(h.amount), h.running, h.owner) end

-- A member of the running requests, all with score 0: those of a key stand together, in the order in which they end
-- (microseconds have 16 digits until the year 2286).
local function slot(digest, ends, id) return string.format('%s %s %s', digest, ends, id) end

-- What a key has spent in a window, the epoch in which that was read, and when it was written, us.
local function write_spent(spent, epoch, at) return string.format('%.0f %.0f %.0f', spent, epoch, at) end

local function read_spent(value)
  local spent, epoch, at = string.match(value or '', '^([0-9]+) ([0-9]+) ([0-9]+)$')
  return tonumber(spent or 0), tonumber(epoch or 0), tonumber(at or 0)
end

-- Whether a copy of this time is not too old; one from the future is, after a clock was set back.
local function young(at, now, age)
  at = tonumber(at or 0)
  return at <= now and now - at <= tonumber(age)
end

-- Takes holds away, and their sums; whether(id, hold), where it is there, says which. The keys go with the last one.
local function end_holds(holds, expiry, running, ids, whether)
  local ended, freed, freed_of = 0, 0, {}
  for _, id in ipairs(ids) do
    local value = redis.call('HGET', holds, id)
    local h = value and read_hold(value)
    if h and (not whether or whether(id, h)) then
      ended, freed = ended + 1, freed + h.amount
      freed_of[h.digest] = (freed_of[h.digest] or 0) + h.amount
      redis.call('HDEL', holds, id)
      redis.call('ZREM', expiry, id)
      redis.call('ZREM', running, slot(h.digest, h.ends, id))
    end
  end
  if ended == 0 then return 0 end
  for digest, amount in pairs(freed_of) do
    set_key_sum(holds, digest, tonumber(redis.call('HGET', holds, key_field(digest)) or 0) - amount)
  end
  if redis.call('HLEN', holds) == 1 then
    redis.call('DEL', holds, expiry, running)
  else
    redis.call('HSET', holds, SUM, int(tonumber(redis.call('HGET', holds, SUM) or 0) - freed))
  end
  return ended
end
