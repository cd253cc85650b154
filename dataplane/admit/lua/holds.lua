-- What those scripts share that change holds beside the one that they are about; it stands after hold.lua.
local function set_key_sum(holds, digest, amount)
  if amount > 0 then
    redis.call('HSET', holds, key_field(digest), int(amount))
  else
    redis.call('HDEL', holds, key_field(digest))
  end
end

local function write_hold(h)
  return table.concat({int(h.amount), h.ends, h.running, h.digest, h.owner, h.at, h.decision, h.owner ~= '' and h.record or ''}, ' ')
end

-- What tells one state of a hold from another: it only moves by Extend, Finish and Sync.
local function state_of(h) return string.format('%s %s %s', int(h.amount), h.running, h.owner) end

local function write_spent(spent, epoch, at) return string.format('%.0f %.0f %.0f', spent, epoch, at) end

-- Takes holds away, and their sums; whether(id, hold), where it is there, says which. The keys go with the last one. What was
-- decided stays under the record of the id, one for each, as long as the request was to live.
local function end_holds(holds, expiry, running, ids, records, now, whether)
  local values, seen = redis.call('HMGET', holds, SUM, LASTING, unpack(ids)), {}
  local gone, slots, timed, freed, freed_of = {}, {}, {}, 0, {}
  for i, id in ipairs(ids) do
    local h = values[i + 2] and not seen[id] and read_hold(values[i + 2])
    seen[id] = true
    if h and (not whether or whether(id, h)) then
      gone[#gone + 1], freed, freed_of[h.digest] = id, freed + h.amount, (freed_of[h.digest] or 0) + h.amount
      if h.running == '1' then slots[#slots + 1] = slot(h.digest, h.ends, id) end
      if h.owner == '' then timed[#timed + 1] = id end
      local left = tonumber(h.ends) - now
      if left > 0 and h.decision ~= '' then redis.call('SET', records[i], h.decision, 'PX', int(math.ceil(left / 1000))) end
    end
  end
  local ended = #gone
  if ended == 0 then return 0 end
  if #slots > 0 then redis.call('ZREM', running, unpack(slots)) end
  if #timed > 0 then redis.call('ZREM', expiry, unpack(timed)) end
  local left = tonumber(values[1] or 0) - freed
  local sums = {SUM, int(left)}
  for digest, amount in pairs(freed_of) do
    local field = key_field(digest)
    local sum = tonumber(redis.call('HGET', holds, field) or 0) - amount
    if sum > 0 then
      sums[#sums + 1], sums[#sums + 2] = field, int(sum)
    else
      gone[#gone + 1] = field
    end
  end
  redis.call('HDEL', holds, unpack(gone))
  -- The sums and the mark are all that is left.
  if left <= 0 and redis.call('HLEN', holds) == (values[2] and 2 or 1) then
    redis.call('DEL', holds, expiry, running)
  else
    redis.call('HSET', holds, unpack(sums))
  end
  return ended
end
