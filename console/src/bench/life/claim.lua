-- What ORDER.CLAIM does, as the script a shop writes by hand beside place.lua: the yardstick of `holdfast bench life`.
--
-- KEYS[1] list    the orders that wait
-- KEYS[2] zset    the orders to try again, by when they are due
-- KEYS[3] zset    the leases, by when they end
-- KEYS[4] number  the last fencing token
-- ARGV    worker, lease (milliseconds), how many orders at most, prefix of the orders' hashes.
--
-- Kept lean on purpose, as place.lua is: no groups that take turns, no pause, leases that end are given back by another
-- script from time to time, and what many orders have in common is done once for all of them.

local worker, lease, count, prefix = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local orders = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, count)
if #orders > 0 then
  redis.call('ZREM', KEYS[2], unpack(orders))
end
if #orders < count then
  local waiting = redis.call('LPOP', KEYS[1], count - #orders)
  for i = 1, waiting and #waiting or 0 do
    orders[#orders + 1] = waiting[i]
  end
end
if #orders == 0 then
  return {}
end

local deadline = now + lease
local token = redis.call('INCRBY', KEYS[4], #orders) - #orders
local leases, claimed = {}, {}
for i = 1, #orders do
  local order, key = orders[i], prefix .. orders[i]
  local known = redis.call('HMGET', key, 'customer', 'items', 'data', 'entry')
  local attempt = redis.call('HINCRBY', key, 'attempts', 1)
  redis.call('HSET', key, 'state', 'claimed', 'worker', worker, 'token', token + i, 'deadline', deadline)
  leases[#leases + 1] = deadline
  leases[#leases + 1] = order
  claimed[i] = {
    'order', order, 'token', token + i, 'attempt', attempt, 'customer', known[1], 'items', known[2], 'data', known[3],
    'placed-at', string.match(known[4], '^%d+'), 'deadline', deadline,
  }
end
redis.call('ZADD', KEYS[3], unpack(leases))
return claimed
