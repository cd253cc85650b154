-- The rates of a request: what each has, what it would have after it, and how long that is too early. It stands in a function of
-- its own before admit.lua: see span.lua.
--
-- rates_of(first argument of a rate, now us, second) answers the one that takes longest, if one refuses, and functions that add to
-- a reply what they were before the request and are after it, and that write the latter.
local DAY = 86400
local _, interval, times, longer, debt, stored_rate = spans()

local function bucket(r, at, more, now)
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

local function daily(r, at, more, now, today)
  -- After a clock was set back over midnight, the later day goes on.
  today = math.max(today, tonumber(at or 0))
  local tomorrow = (today + DAY) * 1000000 - now
  if at and tonumber(at) == today then r.us = tonumber(more) end
  r.next_us, r.next_ps, r.ps = r.us + r.cost, tomorrow, tomorrow
  if r.next_us > r.value then r.wait = tomorrow end
  r.at, r.more, r.life = today, r.next_us, tomorrow
end

local rates, units, all = {}, {}, {}
for i = first, #ARGV, 4 do
  local unit, value, burst, cost = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  rates[#rates + 1] = {
    unit = unit, value = tonumber(value), burst = tonumber(burst), cost = tonumber(cost), us = 0, ps = 0, wait = 0,
    text = string.format('%s,%s,%s,%s', unit, value, burst, cost), next_us = 0, next_ps = 0, at = 0, more = 0, life = 0,
  }
  units[#units + 1] = unit
end
local stored = redis.call('HMGET', KEYS[7], unpack(units))
for i, r in ipairs(rates) do
  local at, more = stored_rate(stored[i])
  if r.burst == 0 then
    daily(r, at, more, now, math.floor(second / DAY) * DAY)
  else
    bucket(r, at, more, now)
  end
  if r.wait > 0 and (not all.worst or r.wait > all.worst.wait) then all.worst = r end
end

function all.before(text)
  local words = {text}
  for i, r in ipairs(rates) do words[i + 1] = string.format('%s,%.0f,%.0f', r.text, r.us, r.ps) end
  return table.concat(words, ',')
end

function all.after(text)
  local words = {text}
  for i, r in ipairs(rates) do words[i + 1] = string.format('%s,%.0f,%.0f', r.text, r.next_us, r.next_ps) end
  return table.concat(words, ',')
end

function all.write()
  local values, life = {}, 0
  for _, r in ipairs(rates) do
    if r.cost > 0 then
      values[#values + 1], values[#values + 2] = r.unit, string.format('%.0f %.0f', r.at, r.more)
      life = math.max(life, math.ceil(r.life / 1000))
    end
  end
  if #values == 0 then return end
  redis.call('HSET', KEYS[7], unpack(values))
  if redis.call('PTTL', KEYS[7]) < life then redis.call('PEXPIRE', KEYS[7], string.format('%.0f', life)) end
end
return all
