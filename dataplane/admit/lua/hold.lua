-- What all scripts share that read holds. It stands before each of them, but for admit.lua, where only what is rare needs it.
--
-- Numbers are doubles: exact below 9e15. Their text is not, unless %.0f writes it, or redis.call, which has 17 digits.
local function int(n) return string.format('%.0f', n) end

-- A hold: 'amount until running digest owner at decision record'. Running is 1 until Finish. One that belongs to an owner does
-- not end by time; others have no owner and no record. At is when it was made, us; the decision, which has no space, is the answer to
-- the same id again, and empty where Sync wrote the hold; the record is what Finish stored, any bytes. The sum of all of them
-- stands beside them under the empty id, and those of each key under 'key digest', so that they are lost together or not at all.
local SUM = ''

-- The field that says that the key has no end, because an owner has written to it: holds of owners have none.
local LASTING = ' '

local function key_field(digest) return string.format('key %s', digest) end

local function read_hold(value)
  local amount, ends, running, digest, owner, at, decision, record =
    string.match(value, '^([0-9]+) ([0-9]+) ([01]) ([^ ]+) ([^ ]*) ([0-9]+) ([^ ]*) (.*)$')
  return {
    amount = tonumber(amount or 0), ends = ends or '', running = running or '0', digest = digest or '',
    owner = owner or '', at = at or '0', decision = decision or '', record = record or '',
  }
end

-- A member of the running requests, all with score 0: those of a key stand together, in the order in which they end
-- (microseconds have 16 digits until the year 2286).
local function slot(digest, ends, id) return string.format('%s %s %s', digest, ends, id) end

-- What a key has spent in a window, the epoch in which that was read, and when it was written, us.
local function read_spent(value)
  local spent, epoch, at = string.match(value or '', '^([0-9]+) ([0-9]+) ([0-9]+)$')
  return tonumber(spent or 0), tonumber(epoch or 0), tonumber(at or 0)
end

-- Whether a copy of this time is not too old; one from the future is, after a clock was set back.
local function young(at, now, age)
  at = tonumber(at or 0)
  return at <= now and now - at <= tonumber(age)
end
