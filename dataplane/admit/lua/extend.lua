-- Makes a running hold larger, after the same checks of the account's state, of cap and credits as an admission's; a refusal changes nothing, and
-- neither does an amount that it already has.
--
-- KEYS  1 copy of the account   2 holds   3 what its key has spent
-- ARGV  1 request id   2 the whole new amount, nano-USD   3 epoch   4 spend cap, nano-USD, or ''   5 its period   6 overdraft
--       7 how old the copy may be, us, while the ledger is away, or ''   8 how much may then be held
--
-- The reply is that of admit.lua, without rates: outcome, retry after us, now us, spendable, reserved by the others, start of the
-- cap's window, refusing rule or -, its limit, used, reset us, held, what fits.
local clock = redis.call('TIME')
local second = tonumber(clock[1])
local now = second * 1000000 + tonumber(clock[2])
local want, epoch = tonumber(ARGV[2]), tonumber(ARGV[3])
local spendable, reserved, window, window_ends, retry, held, fits = 0, 0, 0, 0, 0, 0, 0
if ARGV[4] ~= '' then window, window_ends = calendar()(ARGV[5], second) end

local function reply(outcome, rule, limit, used, reset)
  return string.format('%s,%.0f,%.0f,%.0f,%.0f,%.0f,%s,%.0f,%.0f,%.0f,%.0f,%.0f',
    outcome, retry, now, spendable, reserved, window, rule or '-', limit or 0, used or 0, reset or 0, held, fits)
end

local value = redis.call('HGET', KEYS[2], ARGV[1])
local h = read_hold(value or '')
if not value or h.running ~= '1' then return reply('unknown-hold') end
held = h.amount

local account = redis.call('HMGET', KEYS[1], 'b', 'e', 'n', 'at', 's')
local changes = tonumber(account[3] or 0)
if not account[1] or tonumber(account[2] or 0) < epoch or (changes > 0 and now >= changes) then return reply('reload-account') end
spendable = tonumber(account[1]) + tonumber(ARGV[6])
local sums = redis.call('HMGET', KEYS[2], SUM, key_field(h.digest))
local sum, key_sum = tonumber(sums[1] or 0), tonumber(sums[2] or 0)
reserved = sum - held

local cap, used
if ARGV[4] ~= '' then
  local copy = redis.call('HGET', KEYS[3], string.format('%s %.0f', ARGV[5], window))
  local spent, of = read_spent(copy)
  if not copy or of < epoch then return reply('reload-cap') end
  cap, used = tonumber(ARGV[4]), spent + key_sum - held
end

local free = spendable - reserved
if ARGV[7] ~= '' then
  local lent = young(account[4], now, ARGV[7]) and math.min(math.floor(spendable / 2), tonumber(ARGV[8])) or -9000000000000000
  free = math.min(free, lent - reserved)
end
fits = math.max(held, free)
if cap then fits = math.max(held, math.min(fits, cap - used)) end
if want <= held then return reply('admitted') end
if account[5] then
  fits = held
  return reply('account-suspended')
end
if cap and used + want > cap then
  retry = window_ends * 1000000 - now
  return reply('cap-reached', 'SpendCap', cap, used, retry)
end
if spendable - reserved < want then return reply('insufficient-credits', 'Credits', spendable, reserved) end
if free < want then return reply('ledger-away') end

key_sum, h.amount, held = key_sum - held + want, want, want
redis.call('HSET', KEYS[2], ARGV[1], write_hold(h), SUM, int(reserved + want))
set_key_sum(KEYS[2], h.digest, key_sum)
return reply('admitted')
