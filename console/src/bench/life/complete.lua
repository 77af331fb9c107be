-- What ORDER.COMPLETE does, as the script a shop writes by hand beside place.lua: the yardstick of `holdfast bench life`.
--
-- KEYS[1] hash    the order
-- KEYS[2] zset    the leases, by when they end
-- KEYS[3] stream  the orders that are not finished
-- KEYS[4] stream  the orders that were completed
-- KEYS[5] hash    SKU -> units sold
-- ARGV    order, token, result (JSON), length of the stream of completed orders, milliseconds an order is remembered.
--
-- Kept lean on purpose, as place.lua is: only an order that a worker holds can be completed, and the stream is trimmed
-- to about its length.

local order, token, result, history, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local known = redis.call('HMGET', KEYS[1], 'state', 'token', 'entry', 'customer', 'items', 'completed')
if not known[1] then
  return redis.error_reply('NOORDER ' .. order)
end
if known[2] ~= token then
  return redis.error_reply('FENCED current token ' .. tostring(known[2]))
end
if known[1] == 'completed' then
  return known[6]
end
if known[1] ~= 'claimed' then
  return redis.error_reply('BADSTATE order is ' .. known[1])
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local placed_at = string.match(known[3], '^%d+')
redis.call('ZREM', KEYS[2], order)
for _, item in ipairs(cjson.decode(known[5])) do
  redis.call('HINCRBY', KEYS[5], item[1], item[2])
end
redis.call('XDEL', KEYS[3], known[3])
local entry = redis.call('XADD', KEYS[4], 'MAXLEN', '~', history, '*', 'order', order, 'customer', known[4],
  'items', known[5], 'placed-at', placed_at, 'took-ms', now - placed_at, 'result', result)
redis.call('HSET', KEYS[1], 'state', 'completed', 'completed', entry)
redis.call('PEXPIRE', KEYS[1], keep)
return entry
