-- Corrects a lane's bucket. KEYS[1]: the lane's hash. ARGV[1]: tokens reserved but not used; below zero: used beyond. ARGV[2]: requests
-- that were not sent. What is beyond the bucket's size runs over at the next taking.
local held = redis.call('HMGET', KEYS[1], 'r', 't')
if held[1] and held[2] then
    redis.call('HSET', KEYS[1], 'r', tostring(tonumber(held[1]) + tonumber(ARGV[2])), 't', tostring(tonumber(held[2]) + tonumber(ARGV[1])))
end
return 1
