-- Corrects a lane's tokens once they are known. KEYS[1]: the lane's hash. ARGV[1]: tokens reserved but not used; below zero: used beyond.
local held = redis.call('HGET', KEYS[1], 't')
if held then
    redis.call('HSET', KEYS[1], 't', tostring(tonumber(held) + tonumber(ARGV[1])))
end
return 1
