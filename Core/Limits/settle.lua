-- Turns a reservation into use, in every window. Idempotent by request id.
--
-- KEYS  as in reserve.lua, then one more: the mark of a settled request
-- ARGV  1 request id   2 tokens used   3 time to live of the mark (ms)   then per window i: time to live (ms)
-- Returns 1 when settled now, 0 when it had been settled before.
local request, used = ARGV[1], tonumber(ARGV[2])
if not redis.call('SET', KEYS[#KEYS], '1', 'NX', 'PX', tonumber(ARGV[3])) then
  return 0
end
for i = 1, (#KEYS - 1) / 3 do
  local total, leases, amounts = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local amount = redis.call('HGET', amounts, request)
  if amount then
    redis.call('HINCRBY', total, 'reserved', -tonumber(amount))
    redis.call('HDEL', amounts, request)
    redis.call('ZREM', leases, request)
  end
  redis.call('HINCRBY', total, 'used', used)
  redis.call('PEXPIRE', total, tonumber(ARGV[3 + i]))
end
return 1
