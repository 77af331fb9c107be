"""What becomes of an order whose handler gives what cannot be kept, or ends in an odd way: a failed attempt, once."""

import asyncio
import collections
import logging
import sys
import threading
import unittest

import redis
import redis.asyncio

import holdfast
import holdfast.aio

from .lab import PATIENCE_S, OneStore, with_asyncio, working


class Speechless(Exception):
    def __str__(self):
        # OpenTelemetry, where it is, asks for the words first, and this is what it raises then.
        raise ValueError("Speechless")


def raising(error):
    def handler():
        raise error()

    return handler


#: By order: what its handler does, and what the reason is then, or how it begins.
ODD = {
    "no-number": (lambda: {"weight": float("nan")}, "Out of range float values are not JSON compliant"),
    "no-text": (lambda: "\ud800", "'utf-8' codec can't encode character '\\ud800'"),
    "no-json": (object, "Object of type object is not JSON serializable"),
    "too-large": (lambda: "x" * (1 << 20), "RESULT must be at most 1048576 bytes"),
    "speechless": (raising(Speechless), "Speechless"),
    "half-a-character": (raising(lambda: ValueError("\ud800")), "?"),
    "verbose": (raising(lambda: ValueError("x" * (2 << 20))), "xxx"),
    "half-a-millisecond": (raising(lambda: holdfast.Retry("later", after_ms=0.5)), "after_ms must be an integer"),
}


class Outcomes(OneStore):
    def setUp(self):
        super().setUp()
        self.shop.store_set(self.store, attempts=1)
        self.shop.inv_set(self.store, "mug", 100)
        self.handled = collections.Counter()

    def place(self, *orders):
        for order in orders:
            self.shop.order_place(self.store, order, "alice", {"mug": 1})

    def handler(self, job):
        self.handled.update([job.order])
        return ODD[job.order][0]() if job.order in ODD else None

    def each_failed_once(self, *others):
        self.assertEqual(self.handled, {order: 1 for order in (*ODD, *others)})
        for order, (_, reason) in ODD.items():
            found = self.shop.order_get(self.store, order)
            self.assertEqual((found.state, found.reason[: len(reason)]), ("dead", reason), order)

    def all_ended(self, orders):
        return self.info("completed") + self.info("dead_letters") == orders

    def test_what_cannot_be_kept_is_a_failed_attempt(self):
        self.place(*ODD, "plain")
        worker = holdfast.Worker(redis.Redis.from_url(self.url), self.store, self.handler)
        running = threading.Thread(target=worker.run, daemon=True)
        with self.assertLogs("holdfast", "INFO") as logs:
            running.start()
            self.until("all orders", lambda: self.all_ended(len(ODD) + 1))
            worker.stop()
            running.join(PATIENCE_S)
        self.each_failed_once("plain")
        self.assertIn("INFO:holdfast:order plain is completed, attempt 1", logs.output)
        self.assertIn("WARNING:holdfast:order no-text is dead after attempt 1", logs.output)

    def test_the_same_with_asyncio(self):
        self.place(*ODD, "plain", "cancelled")

        async def handler(job):
            if job.order == "cancelled":
                self.handled.update([job.order])
                label = asyncio.create_task(asyncio.sleep(PATIENCE_S))
                asyncio.get_running_loop().call_soon(label.cancel)
                await label
            return self.handler(job)

        with_asyncio(self.work(handler))
        self.each_failed_once("plain", "cancelled")
        self.assertEqual(self.shop.order_get(self.store, "cancelled").reason, "the handler was cancelled")

    def test_a_function_does_for_asyncio(self):
        self.place(*ODD, "plain")
        with_asyncio(self.work(self.handler))
        self.each_failed_once("plain")

    async def work(self, handler):
        async with redis.asyncio.Redis.from_url(self.url) as client:
            worker = holdfast.aio.Worker(client, self.store, handler)
            await working(worker, lambda: self.info("queued") + self.info("in_work") == 0)

    def test_a_handler_that_ends_its_worker_has_used_an_attempt(self):
        self.place("exits")
        with self.assertRaisesRegex(SystemExit, "bad config"):
            holdfast.Worker(redis.Redis.from_url(self.url), self.store, lambda job: sys.exit("bad config")).run()
        self.assertEqual((self.info("queued"), self.info("dead_letters")), (0, 1))
        self.assertEqual(self.shop.order_get(self.store, "exits").reason, "bad config")

    def test_so_has_one_of_asyncio(self):
        self.place("exits")

        async def handler(job):
            sys.exit("bad config")

        with self.assertRaisesRegex(SystemExit, "bad config"):
            with_asyncio(self.work(handler))
        self.assertEqual((self.info("queued"), self.info("dead_letters")), (0, 1))

    def test_an_outcome_whose_reply_is_lost_is_no_lost_lease(self):
        self.place("plain")
        seen = threading.Event()
        worker = holdfast.Worker(redis.Redis.from_url(self.url), self.store, self.handler, lease_ms=3_000)
        really = worker.shop.order_complete

        def unheard(*args, **options):
            reply = really(*args, **options)
            if not seen.is_set():
                # Until the keeper of the leases has been refused.
                self.until("a renewal", lambda: self.info("refused_badstate"))
                seen.set()
                raise redis.ConnectionError("the reply is lost")
            return reply

        worker.shop.order_complete = unheard
        running = threading.Thread(target=worker.run, daemon=True)
        with self.assertLogs("holdfast", logging.WARNING) as logs:
            running.start()
            self.until("the reply", seen.is_set)
            worker.stop()
            running.join(PATIENCE_S)
        self.assertEqual([line for line in logs.output if "trying again" not in line], [])

    def test_a_renewal_that_comes_after_the_outcome_is_no_lost_lease(self):
        self.place("plain")
        begun, late = threading.Event(), threading.Event()

        def handler(job):
            self.until("a renewal", begun.is_set)

        worker = holdfast.Worker(redis.Redis.from_url(self.url), self.store, handler, lease_ms=3_000)
        really = worker.shop.order_renew

        def delayed(*args, **options):
            begun.set()
            self.until("the outcome", lambda: self.info("completed") == 1 and not worker._in_hand)
            try:
                return really(*args, **options)
            finally:
                late.set()

        worker.shop.order_renew = delayed
        running = threading.Thread(target=worker.run, daemon=True)
        with self.assertLogs("holdfast", "INFO") as logs:
            running.start()
            self.until("the renewal", late.is_set)
            worker.stop()
            running.join(PATIENCE_S)
        self.assertEqual([line for line in logs.output if "WARNING" in line], [])
        self.assertEqual(self.info("refused_badstate"), 1)


if __name__ == "__main__":
    unittest.main()
