-- What ORDER.PLACE does, as the script a shop writes by hand: the yardstick of `holdfast bench`.
--
-- KEYS[1] hash    the order: makes the call idempotent
-- KEYS[2] hash    SKU -> units available
-- KEYS[3] hash    customer -> units placed, for the limit
-- KEYS[4] stream  the orders that are not finished
-- KEYS[5] list    the orders that wait for a worker, first in, first out; without it the stream is the queue
-- ARGV    order, customer, items (JSON), data, limit (units a customer, 0 none), then SKU and quantity pairs.
--
-- It is kept lean on purpose, so that the comparison favours it: the caller has encoded the JSON and has added up a
-- SKU that is named twice, the limit comes with the call, there is no sale window and no safety stock, and an order's
-- time is the one in its entry id.

local order, customer, items, data, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local known = redis.call('HMGET', KEYS[1], 'entry', 'customer', 'items', 'data')
if known[1] then
  if known[2] ~= customer or known[3] ~= items or known[4] ~= data then
    return redis.error_reply('MISMATCH order ' .. order .. ' has other content')
  end
  return known[1]
end

local skus, wanted, units = {}, {}, 0
for i = 6, #ARGV, 2 do
  local quantity = tonumber(ARGV[i + 1])
  skus[#skus + 1] = ARGV[i]
  wanted[#wanted + 1] = quantity
  units = units + quantity
end

if limit > 0 then
  local has = tonumber(redis.call('HGET', KEYS[3], customer) or 0)
  if has + units > limit then
    return redis.error_reply('LIMIT customer ' .. customer .. ' limit ' .. limit .. ' has ' .. has)
  end
end

local available = redis.call('HMGET', KEYS[2], unpack(skus))
for i = 1, #skus do
  if not available[i] then
    return redis.error_reply('NOSKU ' .. skus[i])
  end
  if tonumber(available[i]) < wanted[i] then
    return redis.error_reply('OUTOFSTOCK ' .. skus[i] .. ' wanted ' .. wanted[i] .. ' available ' .. available[i])
  end
end

for i = 1, #skus do
  redis.call('HINCRBY', KEYS[2], skus[i], -wanted[i])
end
redis.call('HINCRBY', KEYS[3], customer, units)
local entry = redis.call('XADD', KEYS[4], '*', 'order', order, 'customer', customer, 'items', items, 'data', data)
redis.call('HSET', KEYS[1], 'state', 'queued', 'entry', entry, 'customer', customer, 'items', items, 'data', data)
if KEYS[5] then
  redis.call('RPUSH', KEYS[5], order)
end
return entry
