-- Turns a reservation into use, in every window. Idempotent by request id: the reservation becomes the mark of a settled request.
--
-- KEYS  as in reserve.lua
-- ARGV  1 request id   2 time to live of the mark (ms)   3 the generation of the counters   then per window: used, time to live (ms)
-- Returns the counters after it, or {-1} when they are of another generation or gone. A repeat changes nothing and returns nothing.
if redis.call('GET', KEYS[#KEYS]) ~= ARGV[3] then return {-1} end

local windows = #KEYS - 3
local reservation, leases = KEYS[windows + 1], KEYS[windows + 2]
local held = redis.call('GET', reservation)
if held == 'done' then return {} end

redis.call('SET', reservation, 'done', 'PX', ARGV[2])
local reserved = {}
if held then
  redis.call('ZREM', leases, ARGV[1])
  for key, amount in string.gmatch(held, '(%S+) (%d+)') do reserved[key] = tonumber(amount) end
end
local counters = {}
for i = 1, windows do
  local change = tonumber(ARGV[2 * i + 2]) - (reserved[KEYS[i]] or 0)
  counters[i] = redis.call('INCRBY', KEYS[i], string.format('%.0f', change))
  -- Nothing was there before: the counter is new and needs an end.
  if counters[i] == change then redis.call('PEXPIRE', KEYS[i], ARGV[2 * i + 3]) end
end
return counters
