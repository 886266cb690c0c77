-- Reserves a call's demand in every window at once, or in none.
--
-- KEYS  the windows' counters (used + reserved), then the reservation, the zset request id -> lease end (ms), and the mark of the generation
-- ARGV  1 request id   2 now (ms)   3 lease (ms)   4 output tokens wished   5 output tokens at least   6 how many windows, the first ones, count tokens
--       7 the generation of the counters   then per window: limit, time to live (ms), demand of the input, demand of one output token
-- Returns {1, output granted, tightest token window or 0, its remaining} or {0, window that refuses, its counter}, or {-1} when the
-- counters are of another generation or gone.
--
-- A reservation is the text "key amount key amount …", so that whoever finds its lease ended can give back what it held.
if redis.call('GET', KEYS[#KEYS]) ~= ARGV[7] then return {-1} end

local unpack = unpack or table.unpack
local windows = #KEYS - 3
local reservation, leases = KEYS[windows + 1], KEYS[windows + 2]
local output, least = tonumber(ARGV[4]), tonumber(ARGV[5])

-- Not tostring: it writes large numbers with an exponent, which INCRBY does not read.
local function int(number) return string.format('%.0f', number) end

local function give_back(held)
  for key, amount in string.gmatch(held, '(%S+) (%d+)') do
    -- A window that is over is gone, and must not come back.
    if redis.call('EXISTS', key) == 1 then redis.call('DECRBY', key, amount) end
  end
end

-- A reservation whose process died gives back what it held when its lease ends.
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', ARGV[2], 'LIMIT', 0, 100)) do
  local key = string.sub(reservation, 1, -1 - #ARGV[1]) .. dead
  local held = redis.call('GET', key)
  if held and held ~= 'done' then
    give_back(held)
    redis.call('DEL', key)
  end
  redis.call('ZREM', leases, dead)
end

-- A request that comes again (a retry after a lost answer) replaces its own.
local before = redis.call('GET', reservation)
if before and before ~= 'done' then
  give_back(before)
  redis.call('DEL', reservation)
  redis.call('ZREM', leases, ARGV[1])
end

local counters = redis.call('MGET', unpack(KEYS, 1, windows))
local left = {}
for i = 1, windows do
  local at = 4 * i + 3
  local counter, input, each = tonumber(counters[i] or '0'), tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
  left[i] = tonumber(ARGV[at + 1]) - counter - input
  if left[i] < least * each then return {0, i, counter} end
  if each > 0 then output = math.min(output, math.floor(left[i] / each)) end
end

local held = {}
local tightest, remaining = 0, 0
for i = 1, windows do
  local at = 4 * i + 3
  local amount = int(tonumber(ARGV[at + 3]) + output * tonumber(ARGV[at + 4]))
  redis.call('INCRBY', KEYS[i], amount)
  if not counters[i] then redis.call('PEXPIRE', KEYS[i], ARGV[at + 2]) end
  held[i] = KEYS[i] .. ' ' .. amount
  if i <= tonumber(ARGV[6]) and (tightest == 0 or left[i] - output < remaining) then
    tightest, remaining = i, left[i] - output
  end
end
redis.call('SET', reservation, table.concat(held, ' '), 'PX', int(tonumber(ARGV[3]) + 3600000))
redis.call('ZADD', leases, int(tonumber(ARGV[2]) + tonumber(ARGV[3])), ARGV[1])
return {1, output, tightest, remaining}
