-- Makes a running hold larger, after the same checks of cap and credits as an admission's; a refusal changes nothing, and
-- neither does an amount that it already has.
--
-- KEYS  1 copy of the account   2 holds   3 what its key has spent
-- ARGV  1 request id   2 the whole new amount, nano-USD   3 epoch   4 spend cap, nano-USD, or ''   5 its period
--
-- The reply is that of admit.lua, without rates: outcome, retry after us, now us, spendable, reserved by the others, start of the
-- cap's window, refusing rule or -, its limit, used, reset us, held, what fits.
local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000000 + tonumber(clock[2])
local want, epoch = tonumber(ARGV[2]), tonumber(ARGV[3])
local spendable, reserved, window, window_ends, retry, held, fits = 0, 0, 0, 0, 0, 0, 0
if ARGV[4] ~= '' then window, window_ends = window_of(ARGV[5], second) end

local function reply(outcome, rule, limit, used, reset)
  return table.concat({
    outcome, int(retry), int(now), int(spendable), int(reserved), int(window), rule or '-', int(limit or 0), int(used or 0), int(reset or 0),
    int(held), int(fits),
  }, ' ')
end

local value = redis.call('HGET', KEYS[2], ARGV[1])
local h = read_hold(value or '')
if not value or h.running ~= '1' then return reply('unknown-hold') end
held = h.amount

local account = redis.call('HMGET', KEYS[1], 'b', 'e')
if not account[1] or tonumber(account[2] or 0) < epoch then return reply('reload-account') end
spendable = tonumber(account[1])
local sums = redis.call('HMGET', KEYS[2], SUM, key_field(h.digest))
local sum, key_sum = tonumber(sums[1] or 0), tonumber(sums[2] or 0)
reserved = sum - held

local cap, used
if ARGV[4] ~= '' then
  local copy = redis.call('HGET', KEYS[3], string.format('%s %s', ARGV[5], int(window)))
  local spent, of = read_spent(copy)
  if not copy or of < epoch then return reply('reload-cap') end
  cap, used = tonumber(ARGV[4]), spent + key_sum - held
end

fits = math.max(held, spendable - reserved)
if cap then fits = math.max(held, math.min(fits, cap - used)) end
if want <= held then return reply('admitted') end
if cap and used + want > cap then
  retry = window_ends * 1000000 - now
  return reply('cap-reached', 'SpendCap', cap, used, retry)
end
if spendable - reserved < want then return reply('insufficient-credits', 'Credits', spendable, reserved) end

h.amount, held = want, want
redis.call('HSET', KEYS[2], ARGV[1], write_hold(h), SUM, int(reserved + want))
set_key_sum(KEYS[2], h.digest, key_sum - read_hold(value).amount + want)
return reply('admitted')
