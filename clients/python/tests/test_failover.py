"""What becomes of workers and customers when another server is the primary.

They go through a sentinel when the primary is gone; and through an address that leads to the new primary, while their
connections stay with the old one, which is a replica now.
"""

import asyncio
import collections
import threading
import time
import unittest

import redis
import redis.asyncio
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.sentinel import Sentinel

import holdfast
import holdfast.aio
from holdfast import Worker
from holdfast.worker import PASSING

from .lab import PATIENCE_S, Lab, with_asyncio

STORE = "popup"
ORDERS = 20
PLENTY = 1000
MINUTES = 600_000
#: Before a call that failed is made again.
PAUSE_S = 0.02
#: The order that a worker has in hand when the primary goes.
IN_HAND = "o-0"


class Sentinels(Lab):
    options = ("--sentinel",)

    def primary(self):
        """The address of the primary, as the sentinel says."""
        with redis.Redis(*self.sentinel) as sentinel:
            return sentinel.sentinel_get_master_addr_by_name("shop")

    def client(self):
        return Sentinel([self.sentinel]).master_for("shop")

    def async_client(self):
        return AsyncSentinel([self.sentinel]).master_for("shop")

    def change_primary(self):
        """Ends the primary when its replica has everything."""
        with redis.Redis(*self.primary()) as primary:
            # WAIT is about the writes of its own connection, and what came before them.
            primary.set("last", "write")
            self.assertEqual(primary.wait(1, PATIENCE_S * 1000), 1)
            primary.shutdown(nosave=True, now=True)


class Services(Lab):
    options = ("--service",)

    def primary(self):
        return self.service

    def client(self):
        return redis.Redis(*self.service)

    def async_client(self):
        return redis.asyncio.Redis(host=self.service[0], port=self.service[1])

    def change_primary(self):
        self.fail_over()


class Failover:
    def all_is_completed(self, orders, handled):
        """Each order is completed by the first handler that had it, and no unit is sold twice."""
        with redis.Redis(*self.primary()) as promoted:
            shop = holdfast.Client(promoted)
            self.assertEqual(handled, {f"o-{at}": 1 for at in range(orders)})
            for order in handled:
                found = shop.order_get(STORE, order)
                self.assertEqual((found.state, found.attempts), ("completed", 0), found)
            mug, info = shop.inv_get(STORE, "mug")[0], shop.store_info(STORE)
            shop.close()
        self.assertEqual((mug.on_hand, mug.held, mug.sold), (PLENTY - orders, 0, orders))
        self.assertEqual([info[name] for name in ("completed", "queued", "in_work", "lapsed")], [orders, 0, 0, 0])


class Sync(Failover):
    def test_a_worker_and_its_customers_go_on_at_the_promoted_replica(self):
        client = self.client()
        self.addCleanup(client.close)
        shop = holdfast.Client(client)
        handled, promoted = collections.Counter(), threading.Event()

        def handler(job):
            handled.update([job.order])
            if job.order == IN_HAND:
                promoted.wait(PATIENCE_S)

        def place(first):
            for at in range(first, first + ORDERS):
                insist(lambda at=at: shop.order_place(STORE, f"o-{at}", f"c-{at}", {"mug": 1}))

        shop.inv_set(STORE, "mug", PLENTY)
        worker = Worker(client, STORE, handler, lease_ms=MINUTES, concurrency=2)
        running = threading.Thread(target=worker.run, daemon=True)
        running.start()
        place(0)
        self.until("all but one", lambda: shop.store_info(STORE)["completed"] == ORDERS - 1)
        with self.assertLogs("holdfast"):
            self.change_primary()
            place(ORDERS)
            promoted.set()
            self.until("all orders", lambda: shop.store_info(STORE)["completed"] == 2 * ORDERS)
        worker.stop()
        running.join(PATIENCE_S)
        self.assertFalse(running.is_alive())
        self.all_is_completed(2 * ORDERS, handled)


class Asyncio(Failover):
    def test_a_worker_and_its_customers_go_on_at_the_promoted_replica(self):
        handled = collections.Counter()
        with self.assertLogs("holdfast"):
            with_asyncio(self.go_on(handled))
        self.all_is_completed(2 * ORDERS, handled)

    async def go_on(self, handled):
        client = self.async_client()
        shop, promoted = holdfast.aio.Client(client), asyncio.Event()

        async def handler(order):
            handled.update([order.order])
            if order.order == IN_HAND:
                await promoted.wait()

        async def place(first):
            for at in range(first, first + ORDERS):
                await insist_async(lambda at=at: shop.order_place(STORE, f"o-{at}", f"c-{at}", {"mug": 1}))

        async def completed(orders):
            while (await shop.store_info(STORE))["completed"] < orders:
                await asyncio.sleep(0.02)

        await shop.inv_set(STORE, "mug", PLENTY)
        worker = holdfast.aio.Worker(client, STORE, handler, lease_ms=MINUTES, concurrency=2)
        running = asyncio.create_task(worker.run(signals=()))
        await place(0)
        await completed(ORDERS - 1)
        await asyncio.to_thread(self.change_primary)
        await place(ORDERS)
        promoted.set()
        await completed(2 * ORDERS)
        worker.stop()
        await running
        await shop.close()
        await client.aclose()


class SyncThroughSentinel(Sync, Sentinels):
    pass


class SyncThroughService(Sync, Services):
    pass


class SyncThroughServiceWithBlockingPool(SyncThroughService):
    def client(self):
        pool = redis.BlockingConnectionPool(host=self.service[0], port=self.service[1], max_connections=4)
        return redis.Redis.from_pool(pool)


class AsyncioThroughSentinel(Asyncio, Sentinels):
    pass


class AsyncioThroughService(Asyncio, Services):
    pass


def insist(call):
    """Makes a call until it has a reply."""
    while True:
        try:
            return call()
        except PASSING:
            time.sleep(PAUSE_S)


async def insist_async(call):
    """The same with asyncio."""
    while True:
        try:
            return await call()
        except PASSING:
            await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    unittest.main()
