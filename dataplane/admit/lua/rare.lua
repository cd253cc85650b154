-- What an admission needs seldom. It stands with hold.lua in one function before admit.lua, which makes its parts when it is
-- called: a function costs each call that makes it about 0.1 us.
local BATCH = 500

-- A reply with numbers; those that n does not have are 0.
local function reply(outcome, n, measured)
  local text = string.format('%s,%.0f,%.0f,%.0f,%.0f,%.0f,%s,%.0f,%.0f,%.0f,%.0f,%.0f', outcome, n.retry or 0, n.now or 0,
    n.spendable or 0, n.reserved or 0, n.window or 0, n.rule or '-', n.limit or 0, n.used or 0, n.reset or 0, n.amount or 0, n.fits or 0)
  return measured and measured(text) or text
end

-- The answer to an id that has a hold, nil where it is another's time: 'admitted' and no more where nobody knows the decision.
local function again(hold, owner, now)
  if hold.owner == '' and tonumber(hold.ends) <= now then return nil end
  local decision = hold.decision
  if decision == '' then
    decision = redis.call('GET', KEYS[1]) or reply('admitted', {now = now, amount = hold.amount})
  end
  if owner ~= '' and hold.owner == owner then return decision end
  return string.format('-%s', decision)
end

-- Looks for holds past their time, a batch each time. What it finds is in gone: dead holds in order, what they held, and of each key;
-- more says that there may be others.
local function look(gone, now)
  local ids = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', int(now), 'LIMIT', #gone.dead, BATCH)
  gone.more = #ids == BATCH
  if #ids == 0 then return end
  local values = redis.call('HMGET', KEYS[4], unpack(ids))
  for i, one in ipairs(ids) do
    local h = read_hold(values[i] or '')
    h.id = one
    gone.dead[#gone.dead + 1] = h
    gone.freed = gone.freed + h.amount
    gone.of[h.digest] = (gone.of[h.digest] or 0) + h.amount
  end
end

local function less_of_key(digest, less)
  local left = tonumber(redis.call('HGET', KEYS[4], key_field(digest)) or 0) - less
  if left > 0 then
    redis.call('HSET', KEYS[4], key_field(digest), int(left))
  else
    redis.call('HDEL', KEYS[4], key_field(digest))
  end
end

-- Takes those away, and corrects the sums of other keys than this.
local function bury(gone, digest)
  for first = 1, #gone.dead, BATCH do
    local ids, slots = {}, {}
    for i = first, math.min(first + BATCH - 1, #gone.dead) do
      local h = gone.dead[i]
      ids[#ids + 1], slots[#slots + 1] = h.id, slot(h.digest, h.ends, h.id)
    end
    redis.call('HDEL', KEYS[4], unpack(ids))
    redis.call('ZREM', KEYS[6], unpack(ids))
    redis.call('ZREM', KEYS[5], unpack(slots))
  end
  for of, less in pairs(gone.of) do
    if less > 0 and of ~= digest then less_of_key(of, less) end
  end
end

-- Takes the place of a hold of the same id that is past its time; answers what that takes off the sums of all and of this key.
local function replace(id, old, digest)
  redis.call('ZREM', KEYS[5], slot(old.digest, old.ends, id))
  redis.call('ZREM', KEYS[6], id)
  if old.digest == digest then return old.amount, old.amount end
  if old.amount > 0 then less_of_key(old.digest, old.amount) end
  return old.amount, 0
end

-- Keys live at least so long, ms.
local function live(life, keys)
  for _, key in ipairs(keys) do
    if redis.call('PTTL', key) < life then redis.call('PEXPIRE', key, int(life)) end
  end
end

-- Where a key runs as many requests as it may: when one of them and when all end, us from now. Those that have not ended stand in
-- the running requests from first to last.
local function crowded(digest, first, last, most, running, now)
  local function left(member) return tonumber(string.match(string.sub(member, #digest + 2), '^[0-9]+')) - now end
  local wait = left(redis.call('ZRANGEBYLEX', KEYS[5], first, last, 'LIMIT', int(running - most), 1)[1])
  local longest = redis.call('ZREVRANGEBYLEX', KEYS[5], last, first, 'LIMIT', 0, 1)[1]
  return wait, left(longest)
end

return {
  read_hold = read_hold, read_spent = read_spent, reply = reply, again = again, look = look, bury = bury, replace = replace, live = live,
  crowded = crowded,
}
