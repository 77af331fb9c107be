"""A thousand claims that run into the time-out of redis-py's default options leave no order behind.

By default redis-py sends a call again: the clients must not let it.
"""

import asyncio
import threading
import unittest

import redis
import redis.asyncio

import holdfast
import holdfast.aio

from .lab import OneStore, at, with_asyncio

CLAIMS = 1000
#: Claims at a time, one thread or task each.
AT_A_TIME = 500
MINUTES = 600_000


class TimeOuts(OneStore):
    def setUp(self):
        super().setUp()
        self.shop.inv_set(self.store, "mug", CLAIMS)

    def place(self):
        for at in range(CLAIMS):
            self.shop.order_place(self.store, f"o-{at}", "alice", {"mug": 1})

    def nothing_is_left_behind(self):
        """All orders wait, and the next worker gets each of them, at its first attempt."""
        found = self.shop.store_info(self.store)
        self.assertEqual((found["queued"], found["in_work"], found["lapsed"]), (CLAIMS, 0, 0))
        orders = self.shop.order_claim(self.store, "next", count=CLAIMS)
        self.assertEqual((len(orders), {order.attempt for order in orders}), (CLAIMS, {1}))

    def test_calls_that_wait_in_vain_are_not_waited_for_on_the_server(self):
        timed_out = []

        def claim(number):
            shop = holdfast.Client(redis.Redis(**at(self.stall)))
            for _ in range(CLAIMS // AT_A_TIME):
                try:
                    shop.order_claim(self.store, f"w-{number}", block_ms=0)
                except redis.TimeoutError:
                    timed_out.append(number)
            shop.close()

        threads = [threading.Thread(target=claim, args=(at,)) for at in range(AT_A_TIME)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(timed_out), CLAIMS)
        self.until("the server to see that", lambda: self.shop.redis.info("clients")["blocked_clients"] == 0)
        self.place()
        self.nothing_is_left_behind()

    def test_so_are_calls_of_asyncio(self):
        timed_out = []

        async def claim(number):
            client = redis.asyncio.Redis(**at(self.stall))
            shop = holdfast.aio.Client(client)
            for _ in range(CLAIMS // AT_A_TIME):
                try:
                    await shop.order_claim(self.store, f"w-{number}", block_ms=0)
                except redis.TimeoutError:
                    timed_out.append(number)
            await shop.close()
            await client.aclose()

        async def main():
            await asyncio.gather(*(claim(number) for number in range(AT_A_TIME)))

        with_asyncio(main())
        self.assertEqual(len(timed_out), CLAIMS)
        self.until("the server to see that", lambda: self.shop.redis.info("clients")["blocked_clients"] == 0)
        self.place()
        self.nothing_is_left_behind()

    def test_a_worker_gives_back_the_orders_whose_claims_timed_out(self):
        self.place()
        seen = threading.Semaphore(0)
        worker = holdfast.Worker(
            redis.Redis(**at(self.stall)), self.store, print, lease_ms=MINUTES, concurrency=AT_A_TIME
        )
        really = worker.shop.order_claim

        def counted(*args, **options):
            try:
                return really(*args, **options)
            except redis.TimeoutError:
                seen.release()
                raise

        worker.shop.order_claim = counted
        running = threading.Thread(target=worker.run)
        with self.assertLogs("holdfast"):
            running.start()
            for _ in range(CLAIMS):
                seen.acquire()
            worker.stop()
            running.join()
        self.nothing_is_left_behind()

    def test_the_same_with_asyncio(self):
        self.place()
        seen = []

        async def main():
            client = redis.asyncio.Redis(**at(self.stall))
            worker = holdfast.aio.Worker(client, self.store, print, lease_ms=MINUTES, concurrency=AT_A_TIME)
            really = worker.shop.order_claim

            async def counted(*args, **options):
                try:
                    return await really(*args, **options)
                except redis.TimeoutError:
                    seen.append(args)
                    if len(seen) == CLAIMS:
                        worker.stop()
                    raise

            worker.shop.order_claim = counted
            await worker.run(signals=())
            await client.aclose()

        with self.assertLogs("holdfast"):
            with_asyncio(main())
        self.assertGreaterEqual(len(seen), CLAIMS)
        self.nothing_is_left_behind()


if __name__ == "__main__":
    unittest.main()
