-- Ends holds, moves the copy of an account forward, never back, and the copies of what one of its keys has spent. Any
-- part may be empty; the same call again changes nothing. Back they go in one case: what was read just now is older than a
-- copy that nobody has renewed for long, so the ledger was set back, or is another one.
--
-- KEYS  1 copy of the account (hash b, v, e, at: when it was copied, us, n: when it changes by the clock, us, s: 1, there only while it is suspended)   2 holds   3 holds by expiry   4 running requests   5 what the key has spent   6... records of the request ids
-- ARGV  1 balance, nano-USD   2 its version, or '' to leave the copy   3 life of the copies, ms   4 epoch in which they were
--       read, or 0: an admission in a newer epoch than that of a copy has it read again   5 age of a copy, us, from which
--       on it may go back   6 when the account changes by the clock, us (0: never; '' is not known)   7 1 if it is suspended, or ''   8 how many spends; for each its period, start, spent and the oldest start to keep; then request ids
local epoch = tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])

local function back(at) return epoch > 0 and not young(at, now, ARGV[5]) end

if ARGV[2] ~= '' then
  local stored, version = redis.call('HMGET', KEYS[1], 'v', 'e', 'at', 'n', 's'), tonumber(ARGV[2])
  local was, due = tonumber(stored[1] or -1), tonumber(stored[4] or 0)
  local wins = was < version or (was > version and back(stored[3]))
  -- A copy that is newer than a row of this epoch is of this epoch too.
  local fields = {'e', int(math.max(epoch, tonumber(stored[2] or 0)))}
  local function put(field, value) fields[#fields + 1], fields[#fields + 2] = field, value end
  if wins then
    put('b', ARGV[1])
    put('v', ARGV[2])
    if ARGV[7] ~= '' then put('s', '1') elseif stored[5] then redis.call('HDEL', KEYS[1], 's') end
  end
  if wins or was == version then put('at', int(now)) end
  if ARGV[6] ~= '' then
    local changes = tonumber(ARGV[6])
    -- The ledger's clock may be behind: what it has read just now is good for a second, or it would be read all the time.
    if changes > 0 and changes <= now then changes = now + 1000000 end
    -- An older row may know of a change that the copy's row does not tell of, but not that there is none: to read again too
    -- early is safe.
    if was > version and not wins and due > 0 and (changes == 0 or due < changes) then changes = due end
    if changes ~= due then put('n', int(changes)) end
  end
  redis.call('HSET', KEYS[1], unpack(fields))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end

local function forget(period, oldest)
  for _, field in ipairs(redis.call('HKEYS', KEYS[5])) do
    local of, start = string.match(field, '^([A-Za-z]+) ([0-9]+)$')
    if of == period and tonumber(start) < oldest then redis.call('HDEL', KEYS[5], field) end
  end
end

local function spend(period, start, spent, oldest)
  local field = string.format('%s %s', period, start)
  local stored = redis.call('HGET', KEYS[5], field)
  if not stored then forget(period, tonumber(oldest)) end
  local was, of, at = read_spent(stored)
  spent = tonumber(spent)
  if spent >= was or back(at) then was, at = spent, now end
  redis.call('HSET', KEYS[5], field, write_spent(was, math.max(epoch, of), at))
  redis.call('PEXPIRE', KEYS[5], ARGV[3])
end

local last = 8 + 4 * tonumber(ARGV[8])
for i = 9, last, 4 do spend(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
if #ARGV == last then return 0 end

local ids = {}
for i = last + 1, #ARGV do ids[#ids + 1] = ARGV[i] end
return end_holds(KEYS[2], KEYS[3], KEYS[4], ids, {unpack(KEYS, 6)}, now)
