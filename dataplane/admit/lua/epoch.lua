-- Answers the store's epoch, and begins a new one where the store has lost data or was set back to an older copy: the
-- epoch is not there, is older than the one that this client knows, or the client's own last beat is not there.
--
-- KEYS  1 epoch   2 last beat of this client
-- ARGV  1 epoch that the client knows, or 0   2 its last beat that was answered, or 0   3 this beat   4 life of a beat, ms
local epoch, beat = tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(redis.call('GET', KEYS[2]) or 0)
local known = tonumber(ARGV[1])
if epoch == 0 or epoch < known or beat < tonumber(ARGV[2]) then
  local clock = redis.call('TIME')
  epoch = math.max(tonumber(clock[1]) * 1000000 + tonumber(clock[2]), epoch + 1, known + 1)
  redis.call('SET', KEYS[1], int(epoch))
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return int(epoch)
