-- Makes an account's holds those that an owner has: what it holds is added or corrected, what it has not goes. A hold that
-- is not as the caller saw it has moved since, and stays. Where anything was amiss the copy of the account is read again: what
-- lost a hold, or brought one back, may have done so to the copy.
--
-- KEYS  1 holds   2 holds by expiry   3 running requests   4 copy of the account   5... records of the request ids to end
-- ARGV  1 owner   2 how many holds; for each its id, state as seen or '', amount, until, running, digest, when it was made,
--       record; then, of those to end, id and state as seen
local owner, count = ARGV[1], tonumber(ARGV[2])
local changed, by, by_of = 0, 0, {}

local function move(digest, amount)
  by = by + amount
  by_of[digest] = (by_of[digest] or 0) + amount
end

local function put(id, seen, h)
  local value = redis.call('HGET', KEYS[1], id)
  if value then
    local old = read_hold(value)
    if state_of(old) ~= seen then return end
    redis.call('ZREM', KEYS[2], id)
    redis.call('ZREM', KEYS[3], slot(old.digest, old.ends, id))
    h.decision = old.decision
    move(old.digest, -old.amount)
  elseif seen ~= '' then
    return
  end
  redis.call('HSET', KEYS[1], id, write_hold(h))
  move(h.digest, h.amount)
  if h.running == '1' then redis.call('ZADD', KEYS[3], 0, slot(h.digest, h.ends, id)) end
  changed = changed + 1
end

local last = 2 + 8 * count
for i = 3, last, 8 do
  put(ARGV[i], ARGV[i + 1], {
    amount = tonumber(ARGV[i + 2]), ends = ARGV[i + 3], running = ARGV[i + 4], digest = ARGV[i + 5],
    owner = owner, at = ARGV[i + 6], decision = '', record = ARGV[i + 7],
  })
end
if changed > 0 then
  redis.call('HSET', KEYS[1], SUM, int(tonumber(redis.call('HGET', KEYS[1], SUM) or 0) + by))
  for digest, amount in pairs(by_of) do
    set_key_sum(KEYS[1], digest, tonumber(redis.call('HGET', KEYS[1], key_field(digest)) or 0) + amount)
  end
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[3])
end

local ids, seen = {}, {}
for i = last + 1, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
  seen[ARGV[i]] = ARGV[i + 1]
end
if #ids > 0 then
  local clock = redis.call('TIME')
  local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
  changed = changed + end_holds(KEYS[1], KEYS[2], KEYS[3], ids, {unpack(KEYS, 5)}, now, function(id, h) return state_of(h) == seen[id] end)
end
if changed > 0 then redis.call('HDEL', KEYS[4], 'e') end
return changed
