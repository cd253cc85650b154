-- The rates of a request: what each has, what it would have after it, and how long that is too early. It stands in a function of
-- its own before admit.lua: see span.lua.
--
-- rates_of(first argument of a rate, now us, second) answers them, and a function that writes them.
local DAY, rate = 86400, spans()

local function bucket(r, at, more, now)
  r.us, r.ps = rate.debt(at, more, now)
  local one_us, one_ps = rate.interval(r.value)
  local full_us, full_ps = rate.times(r.burst, one_us, one_ps)
  local cost_us, cost_ps = rate.times(r.cost, one_us, one_ps)
  r.next_us, r.next_ps = r.us + cost_us, r.ps + cost_ps
  if r.next_ps >= 1000000 then r.next_us, r.next_ps = r.next_us + 1, r.next_ps - 1000000 end
  if rate.longer(r.next_us, r.next_ps, full_us, full_ps) then
    r.wait = r.next_us - full_us
    if r.next_ps > full_ps then r.wait = r.wait + 1 end
  end
  r.at, r.more, r.life = now + r.next_us, r.next_ps, r.next_us + math.min(1, r.next_ps)
end

local function daily(r, at, more, now, today)
  -- After a clock was set back over midnight, the later day goes on.
  today = math.max(today, tonumber(at or 0))
  local tomorrow = (today + DAY) * 1000000 - now
  if at and tonumber(at) == today then r.us = tonumber(more) end
  r.next_us, r.next_ps, r.ps = r.us + r.cost, tomorrow, tomorrow
  if r.next_us > r.value then r.wait = tomorrow end
  r.at, r.more, r.life = today, r.next_us, tomorrow
end

local rates, fields = {}, {}
for i = first, #ARGV, 4 do
  local unit = ARGV[i]
  rates[#rates + 1] = {
    unit = unit, value = tonumber(ARGV[i + 1]), burst = tonumber(ARGV[i + 2]), cost = tonumber(ARGV[i + 3]),
    us = 0, ps = 0, wait = 0, at_field = rate.at_field(unit), more_field = rate.more_field(unit),
    text = string.format('%s %s %s %s', unit, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]),
  }
  fields[#fields + 1], fields[#fields + 2] = rates[#rates].at_field, rates[#rates].more_field
end
local stored = redis.call('HMGET', KEYS[7], unpack(fields))
for i, r in ipairs(rates) do
  if r.burst == 0 then
    daily(r, stored[2 * i - 1], stored[2 * i], now, math.floor(second / DAY) * DAY)
  else
    bucket(r, stored[2 * i - 1], stored[2 * i], now)
  end
end

return rates, function()
  local values, life = {}, 0
  for _, r in ipairs(rates) do
    if r.cost > 0 then
      values[#values + 1], values[#values + 2] = r.at_field, int(r.at)
      values[#values + 1], values[#values + 2] = r.more_field, int(r.more)
      life = math.max(life, math.ceil(r.life / 1000))
    end
  end
  if #values == 0 then return end
  redis.call('HSET', KEYS[7], unpack(values))
  if redis.call('PTTL', KEYS[7]) < life then redis.call('PEXPIRE', KEYS[7], int(life)) end
end
