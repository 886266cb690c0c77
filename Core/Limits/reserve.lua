-- Reserves tokens in every window at once, or in none.
--
-- KEYS  per window i: KEYS[3i-2] = hash {used, reserved}, KEYS[3i-1] = zset request id -> lease end, KEYS[3i] = hash request id -> amount
-- ARGV  1 request id   2 now (ms)   3 lease (ms)   4 input tokens   5 output tokens wished   6 output tokens at least
--       then per window i: limit, time to live (ms)
-- Returns {1, output granted, tightest window, its remaining} or {0, window that refuses, its used, its reserved, its limit}.
local request, now, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local input, output, least = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local windows = #KEYS / 3

for i = 1, windows do
  local total, leases, amounts = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  -- A reservation whose process died gives its tokens back when its lease ends.
  for _, dead in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do
    local amount = tonumber(redis.call('HGET', amounts, dead) or '0')
    redis.call('HINCRBY', total, 'reserved', -amount)
    redis.call('HDEL', amounts, dead)
    redis.call('ZREM', leases, dead)
  end
end

local tightest, tightestLeft
for i = 1, windows do
  local used = tonumber(redis.call('HGET', KEYS[3 * i - 2], 'used') or '0')
  local reserved = tonumber(redis.call('HGET', KEYS[3 * i - 2], 'reserved') or '0')
  -- A request that comes again (a retry after a lost answer) already holds its own part.
  reserved = reserved - tonumber(redis.call('HGET', KEYS[3 * i], request) or '0')
  local limit = tonumber(ARGV[5 + 2 * i])
  local left = limit - used - reserved - input
  if left < least then
    return {0, i, used, reserved, limit}
  end
  if left < output then output = left end
  if not tightestLeft or left < tightestLeft then tightest, tightestLeft = i, left end
end

for i = 1, windows do
  local total, leases, amounts = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local ttl = tonumber(ARGV[6 + 2 * i])
  local before = tonumber(redis.call('HGET', amounts, request) or '0')
  redis.call('HINCRBY', total, 'reserved', input + output - before)
  redis.call('HSET', amounts, request, input + output)
  redis.call('ZADD', leases, now + lease, request)
  redis.call('PEXPIRE', total, ttl)
  redis.call('PEXPIRE', leases, ttl)
  redis.call('PEXPIRE', amounts, ttl)
end
return {1, output, tightest or 0, (tightestLeft or 0) - output}
