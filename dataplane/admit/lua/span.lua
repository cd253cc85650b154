-- Spans of time, and what a rate is in the store. It stands in a function of its own, before the scripts that need it, and is run only
-- where there are rates: each function that a script makes costs it time.
--
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

-- A rate in the hash of a key's rates, under its unit: of a bucket, when it will be full, in us and ps; of a day, its start in
-- seconds and its count.
local function stored_rate(value) return string.match(value or '', '^([0-9]+) ([0-9]+)$') end

return span, interval, times, longer, debt, stored_rate
