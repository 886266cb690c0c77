-- Takes one request and its tokens from the first lane that has room. Buckets refill continuously; what they held is kept with the
-- time it was so. A request larger than the bucket passes when the bucket is full, and leaves it below zero.
-- KEYS: a hash per lane (at, r, t). ARGV: now in ms, tokens, ms to live, then per lane: requests/ms, most requests, tokens/ms, most tokens (0: no limit).
-- Returns {lane, 0}, or {0, ms until the first lane has room}.
local now = tonumber(ARGV[1])
local tokens = tonumber(ARGV[2])
local soonest = -1
for i, key in ipairs(KEYS) do
    local r_rate, r_most = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
    local t_rate, t_most = tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3])
    local held = redis.call('HMGET', key, 'at', 'r', 't')
    local at = tonumber(held[1] or now) or now
    -- A replica whose clock is behind must not take time back.
    local then_ = math.max(at, now)
    local r = math.min(r_most, (tonumber(held[2] or r_most) or r_most) + (then_ - at) * r_rate)
    local t = math.min(t_most, (tonumber(held[3] or t_most) or t_most) + (then_ - at) * t_rate)
    local wait = 0
    if r_rate > 0 and r < 1 then wait = (1 - r) / r_rate end
    local need = math.min(tokens, t_most)
    if t_rate > 0 and t < need then wait = math.max(wait, (need - t) / t_rate) end
    if wait <= 0 then
        if r_rate > 0 then r = r - 1 end
        if t_rate > 0 then t = t - tokens end
        redis.call('HSET', key, 'at', tostring(then_), 'r', tostring(r), 't', tostring(t))
        redis.call('PEXPIRE', key, ARGV[3])
        return {i, 0}
    end
    if soonest < 0 or wait < soonest then soonest = wait end
end
return {0, math.ceil(soonest)}
