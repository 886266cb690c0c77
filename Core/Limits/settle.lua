-- Turns a reservation into use, in every window. Idempotent by request id: the reservation becomes the mark of a settled request.
--
-- KEYS  as in reserve.lua
-- ARGV  1 request id   2 time to live of the mark (ms)   then per window: used, time to live (ms)
-- Returns 1 when settled now, 0 when it had been settled before.
local windows = #KEYS - 2
local reservation, leases = KEYS[windows + 1], KEYS[windows + 2]
local held = redis.call('GET', reservation)
if held == 'done' then return 0 end

redis.call('SET', reservation, 'done', 'PX', ARGV[2])
local reserved = {}
if held then
  redis.call('ZREM', leases, ARGV[1])
  for key, amount in string.gmatch(held, '(%S+) (%d+)') do reserved[key] = tonumber(amount) end
end
for i = 1, windows do
  local change = tonumber(ARGV[2 * i + 1]) - (reserved[KEYS[i]] or 0)
  if change ~= 0 and redis.call('INCRBY', KEYS[i], string.format('%.0f', change)) == change then
    -- Nothing was there before: the counter is new and needs an end.
    redis.call('PEXPIRE', KEYS[i], ARGV[2 * i + 2])
  end
end
return 1
