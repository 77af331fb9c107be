"""What becomes of orders when workers fail, stop and die, and when connections break."""

import asyncio
import collections
import signal
import subprocess
import threading
import time
import unittest

import redis
import redis.asyncio

import holdfast
import holdfast.aio
from holdfast import Fatal, Retry, Worker, traced
from holdfast.worker import PASSING

from .lab import CLIENTS, OneStore, at, python, with_asyncio, working

ORDERS = 400
HANDS = 8
PLENTY = 1_000_000
#: Workers of a store that moves, one after the other.
CREWS = 2
#: After so many turns of asyncio's loop a new connection is in the middle of something.
TURNS = range(10, 32)
#: A store is half moved until so many calls were refused: redis-py gives each up after some of them.
REFUSALS = 30
MINUTES = 600_000


class InThread:
    """A worker that runs in a thread of its own while a test looks at what it does."""

    def __init__(self, worker):
        self.worker = worker
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.error = None

    def run(self):
        try:
            self.worker.run()
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self.worker

    def __exit__(self, *_):
        self.worker.stop()
        self.thread.join()
        if self.error is not None:
            raise self.error


class Workers(OneStore):
    options = ("--cluster",)

    def place(self, orders, **options):
        self.shop.inv_set(self.store, "mug", orders + 10)
        for at in range(orders):
            self.shop.order_place(self.store, f"o-{at}", f"c-{at}", {"mug": 1}, **options)

    def state(self, order="o-0"):
        return self.shop.order_get(self.store, order)

    def test_what_a_handler_returns_or_raises_is_what_becomes_of_the_order(self):
        self.place(5)

        def handler(job):
            if job.order == "o-1":
                raise Fatal("no such address")
            if job.order == "o-2" and job.attempt == 1:
                raise Retry("printer out of paper", after_ms=1)
            if job.order == "o-3" and job.attempt == 1:
                raise ValueError("a mistake")
            if job.order == "o-4" and job.attempt == 1:
                return object()
            return {"items": job.items, "attempt": job.attempt}

        worker = Worker(redis.Redis.from_url(self.url), self.store, handler, block_ms=200)
        with InThread(worker), self.assertLogs("holdfast"):
            self.until("all orders", lambda: self.info("completed") == 4 and self.info("dead") == 1)
        self.assertEqual(self.state("o-0").result, {"items": [["mug", 1]], "attempt": 1})
        self.assertEqual((self.state("o-1").state, self.state("o-1").reason), ("dead", "no such address"))
        self.assertEqual((self.state("o-2").result["attempt"], self.state("o-2").attempts), (2, 1))
        reasons = [e["reason"] for at in (3, 4) for e in self.state(f"o-{at}").history if e["event"] == "failed"]
        self.assertEqual(reasons[0], "a mistake")
        self.assertIn("JSON", reasons[1])

    def test_a_store_that_is_made_later_is_waited_for(self):
        worker = Worker(redis.Redis.from_url(self.url), self.store, lambda job: 1, block_ms=200)
        with self.assertLogs("holdfast"), InThread(worker):
            time.sleep(0.2)
            self.place(1)
            self.until("the order", lambda: self.info("completed") == 1)

    def test_a_claim_waits_for_less_time_than_redis_py_waits_for_a_reply(self):
        self.place(0)
        counted = lambda: self.shop.redis.info("commandstats").get("cmdstat_ORDER.CLAIM", {}).get("calls", 0)
        made = lambda: self.shop.redis.info("stats")["total_connections_received"]
        hasty = redis.Redis.from_url(self.url, socket_timeout=0.4)
        with self.assertNoLogs("holdfast", "WARNING"), InThread(Worker(hasty, self.store, print)):
            self.until("a claim", counted)
            before, connections = counted(), made()
            self.until("further claims", lambda: counted() >= before + 5)
            self.assertEqual(made(), connections)

    def test_a_lease_is_renewed_while_the_handler_runs(self):
        self.place(1)
        client = redis.Redis.from_url(self.url)
        worker = Worker(client, self.store, lambda job: time.sleep(1.2), lease_ms=400, block_ms=200)
        with InThread(worker):
            self.until("the order", lambda: self.info("completed") == 1)
        self.assertEqual((self.info("lapsed"), self.state().attempts), (0, 0))

    def test_a_lease_that_is_lost_is_said_so(self):
        self.place(1)
        lost = []

        def handler(job):
            self.shop.order_cancel(self.store, job.order)
            lost.append(job.lost.wait(30))

        worker = Worker(redis.Redis.from_url(self.url), self.store, handler, lease_ms=300, block_ms=200)
        with self.assertLogs("holdfast"), InThread(worker):
            self.until("the handler", lambda: lost == [True])

    def test_lanes_are_served_as_named(self):
        self.place(1, lane="express")
        self.shop.order_place(self.store, "other", "c", {"mug": 1})
        worker = Worker(redis.Redis.from_url(self.url), self.store, lambda job: None, lanes=["express"], block_ms=200)
        with InThread(worker):
            self.until("the order", lambda: self.state().state == "completed")
        self.assertEqual(self.state("other").state, "queued")

    def test_a_worker_that_is_killed_with_an_order_in_hand_loses_none(self):
        self.place(1)
        first = python(CLIENTS / "python/tests/crew.py", self.url, self.store, "w-1", 1000, "hangs", stdout=-1)
        self.assertEqual(first.stdout.readline(), "o-0\n")
        first.kill()
        first.communicate()
        second = python(CLIENTS / "python/tests/crew.py", self.url, self.store, "w-2", 1000, "works", stdout=-1)
        self.until("the other worker", lambda: self.info("completed") == 1)
        second.terminate()
        self.assertEqual(second.communicate()[0], "o-0\nended\n")
        self.assertEqual((self.state().attempts, self.info("lapsed")), (1, 1))

    def test_sigterm_lets_the_handler_finish_and_takes_no_other_order(self):
        self.place(2)
        worker = python(CLIENTS / "python/tests/crew.py", self.url, self.store, "w-1", MINUTES, "works", stdout=-1)
        self.assertEqual(worker.stdout.readline(), "o-0\n")
        worker.send_signal(signal.SIGTERM)
        self.assertEqual((worker.communicate()[0], worker.returncode), ("ended\n", 0))
        self.assertEqual((self.info("completed"), self.info("queued"), self.info("in_work")), (1, 1, 0))

    def test_sigterm_gives_back_what_a_handler_does_not_finish(self):
        self.place(1)
        worker = python(CLIENTS / "python/tests/crew.py", self.url, self.store, "w-1", MINUTES, "hangs", stdout=-1)
        self.assertEqual(worker.stdout.readline(), "o-0\n")
        worker.send_signal(signal.SIGTERM)
        self.assertEqual((worker.communicate()[0], worker.returncode), ("ended\n", 0))
        self.assertEqual((self.info("queued"), self.state().attempts), (1, 0))

    def waiting(self):
        """How many callers wait on the server."""
        return self.shop.redis.info("clients")["blocked_clients"]

    def nothing_is_handed_out(self, order):
        self.shop.order_place(self.store, order, "alice", {"mug": 1})
        self.assertEqual((self.info("queued"), self.info("in_work")), (1, 0))
        self.shop.order_cancel(self.store, order)

    def test_a_stop_ends_a_claim_that_waits(self):
        self.place(0)
        for stop_within_s in (0, 25):
            with redis.Redis.from_url(self.url) as client:
                worker = Worker(client, self.store, print, stop_within_s=stop_within_s, lease_ms=MINUTES)
                with InThread(worker):
                    self.until("the claim", self.waiting)
                self.nothing_is_handed_out(f"o-{stop_within_s}")

    def test_a_stop_of_asyncio_ends_it_too(self):
        self.place(0)

        async def main(stop_within_s):
            async with redis.asyncio.Redis.from_url(self.url) as client:
                worker = holdfast.aio.Worker(client, self.store, print, stop_within_s=stop_within_s, lease_ms=MINUTES)
                await working(worker, self.waiting)
                self.nothing_is_handed_out(f"o-{stop_within_s}")

        for stop_within_s in (0, 25):
            with_asyncio(main(stop_within_s))

    def test_a_stop_insists_on_giving_back_what_a_worker_has(self):
        self.place(1)
        over = threading.Event()
        self.addCleanup(over.set)
        client = redis.Redis.from_url(self.url)
        worker = Worker(client, self.store, lambda job: over.wait(), lease_ms=MINUTES, stop_within_s=0)
        refusals = refused_at_first(worker.shop)
        with self.assertLogs("holdfast"), InThread(worker):
            self.until("the claim", lambda: self.info("in_work") == 1)
        self.assertEqual((refusals, self.info("queued"), self.state().attempts), ([], 1, 0))

    def test_a_stop_of_asyncio_insists_too(self):
        self.place(1)

        async def handler(order):
            await asyncio.sleep(3600)

        async def main():
            client = redis.asyncio.Redis.from_url(self.url)
            worker = holdfast.aio.Worker(client, self.store, handler, lease_ms=MINUTES, stop_within_s=0)
            refusals = refused_at_first(worker.shop)
            await working(worker, lambda: self.info("in_work") == 1)
            await client.aclose()
            return refusals

        with self.assertLogs("holdfast"):
            self.assertEqual(with_asyncio(main()), [])
        self.assertEqual((self.info("queued"), self.state().attempts), (1, 0))

    def test_what_no_attempt_would_mend_ends_the_worker(self):
        self.shop.redis.set("text", "x")
        with self.assertRaises(holdfast.errors.WrongType):
            Worker(redis.Redis.from_url(self.url), "text", lambda job: None).run()

    def test_through_a_proxy_that_cuts_connections_nothing_is_lost_or_doubled(self):
        handled = collections.Counter()
        self.shop.inv_set(self.store, "mug", ORDERS)
        cut = redis.Redis(**at(self.cut))
        customers = holdfast.Client(cut)

        def buy(first):
            for at in range(first, ORDERS, HANDS):
                insist(lambda at=at: customers.order_place(self.store, f"o-{at}", f"c-{at}", {"mug": 1}))

        def handler(job):
            handled.update([job.order])

        worker = Worker(cut, self.store, handler, lease_ms=MINUTES, concurrency=HANDS, block_ms=200)
        with self.assertLogs("holdfast"), InThread(worker):
            in_threads(buy, HANDS)
            self.until("all orders", lambda: self.info("completed") == ORDERS)
        self.nothing_lost_or_doubled(handled)
        for ref in map(str, range(50)):
            insist(lambda ref=ref: customers.inv_adjust(self.store, "mug", 1, ref=ref))
        self.assertEqual(self.shop.inv_get(self.store, "mug")[0].on_hand, 50)

    def test_the_same_with_asyncio(self):
        handled = collections.Counter()
        self.shop.inv_set(self.store, "mug", ORDERS)

        async def handler(order):
            handled.update([order.order])

        async def main():
            cut = redis.asyncio.Redis(**at(self.cut))
            customers = holdfast.aio.Client(cut)

            async def buy(first):
                for at in range(first, ORDERS, HANDS):
                    while True:
                        try:
                            await customers.order_place(self.store, f"o-{at}", f"c-{at}", {"mug": 1})
                            break
                        except (redis.ConnectionError, redis.TimeoutError):
                            pass

            worker = holdfast.aio.Worker(cut, self.store, handler, lease_ms=MINUTES, concurrency=HANDS, block_ms=200)
            buying = (buy(first) for first in range(HANDS))
            await asyncio.gather(working(worker, lambda: self.info("completed") == ORDERS), *buying)
            await customers.close()
            await cut.aclose()

        with self.assertLogs("holdfast"):
            with_asyncio(main())
        self.nothing_lost_or_doubled(handled)

    def nothing_lost_or_doubled(self, handled):
        self.assertEqual(handled, {f"o-{at}": 1 for at in range(ORDERS)})
        mug = self.shop.inv_get(self.store, "mug")[0]
        self.assertEqual((mug.on_hand, mug.held, mug.sold), (0, 0, ORDERS))
        self.assertEqual((self.info("lapsed"), self.shop.store_audit(self.store)), (0, []))

    def test_asyncio_worker_ends_gracefully_and_cancels_a_handler_whose_lease_is_lost(self):
        self.place(2)
        seen = []

        async def handler(order):
            seen.append(order.order)
            if order.order == "o-0":
                self.shop.order_cancel(self.store, order.order)
                try:
                    await asyncio.sleep(3600)
                except asyncio.CancelledError:
                    seen.append("cancelled")
                    raise
            await asyncio.sleep(3600)

        async def main():
            client = redis.asyncio.Redis.from_url(self.url)
            worker = holdfast.aio.Worker(client, self.store, handler, lease_ms=300, stop_within_s=0.2)
            await working(worker, lambda: seen == ["o-0", "cancelled", "o-1"])
            await client.aclose()

        with self.assertLogs("holdfast"):
            with_asyncio(main())
        self.assertEqual((self.info("queued"), self.info("in_work"), self.state("o-1").attempts), (1, 0, 0))

    def test_a_cluster_is_asked_where_the_store_is(self):
        cluster = redis.RedisCluster.from_url(self.cluster[0])
        shop = holdfast.Client(cluster)
        stores = ["popup", "drop", "darkstore", "kiosk"]
        self.assertGreater(len({cluster.get_node_from_key(store).port for store in stores}), 1)
        for store in stores:
            shop.inv_set(store, "mug", 10)
            with InThread(Worker(cluster, store, lambda job: None, block_ms=200)):
                shop.order_place(store, "o-1", "alice", {"mug": 1})
                self.until("the order", lambda store=store: shop.store_info(store)["completed"] == 1)

        async def main():
            client = redis.asyncio.RedisCluster.from_url(self.cluster[0])
            # A claim is the first call: the client does not know the nodes yet.
            self.assertEqual(await holdfast.aio.Client(client).order_claim("popup", "w"), [])

            async def handler(order):
                return order.order
            for store in stores:
                shop.order_place(store, "o-2", "bob", {"mug": 1})
                worker = holdfast.aio.Worker(client, store, handler, block_ms=200)
                await working(worker, lambda store=store: shop.order_get(store, "o-2").result == "o-2")
            await client.aclose()

        with_asyncio(main())
        cluster.close()

    def test_a_store_moves_while_its_workers_wait_and_work(self):
        handled, placed = collections.Counter(), 0
        cluster = redis.RedisCluster.from_url(self.cluster[0])
        self.addCleanup(cluster.close)
        shop = holdfast.Client(cluster)
        shop.inv_set(self.store, "mug", PLENTY)

        def handler(job):
            handled.update([job.order])

        for _ in range(CREWS):
            with InThread(Worker(cluster, self.store, handler, lease_ms=MINUTES, concurrency=2)) as worker:
                self.until("both to wait for an order", lambda: self.waiting_in_cluster() == 2)
                self.assertGreater(self.move(self.store), 1)
                moving = threading.Thread(target=self.move, args=(self.store, REFUSALS))
                moving.start()
                while moving.is_alive():
                    insist(lambda at=placed: shop.order_place(self.store, f"o-{at}", f"c-{at}", {"mug": 1}))
                    placed += 1
                self.until("some orders", lambda: handled)
                moving = threading.Thread(target=self.move, args=(self.store,))
                moving.start()
                worker.stop()
            moving.join()
            self.assertEqual(shop.store_info(self.store)["in_work"], 0)
        with InThread(Worker(cluster, self.store, handler, lease_ms=MINUTES)):
            self.until("all orders", lambda: shop.store_info(self.store)["completed"] == placed)
        self.each_is_completed(shop, placed, handled)

    def test_a_store_moves_while_asyncio_workers_wait_and_work(self):
        handled, placed = collections.Counter(), 0

        async def handler(order):
            handled.update([order.order])

        async def main():
            nonlocal placed
            cluster = redis.asyncio.RedisCluster.from_url(self.cluster[0])
            shop = holdfast.aio.Client(cluster)
            await shop.inv_set(self.store, "mug", PLENTY)

            async def place(order):
                while True:
                    try:
                        return await shop.order_place(self.store, order, "alice", {"mug": 1})
                    except PASSING:
                        pass

            def start(**options):
                worker = holdfast.aio.Worker(cluster, self.store, handler, lease_ms=MINUTES, **options)
                return worker, asyncio.create_task(worker.run(signals=()))

            for _ in range(CREWS):
                worker, running = start(concurrency=2)
                waiting = asyncio.to_thread(lambda: self.until("both", lambda: self.waiting_in_cluster() == 2))
                await waiting
                await asyncio.to_thread(self.move, self.store)
                moving = asyncio.create_task(asyncio.to_thread(self.move, self.store, REFUSALS))
                while not moving.done():
                    await place(f"o-{placed}")
                    placed += 1
                moving = asyncio.create_task(asyncio.to_thread(self.move, self.store))
                worker.stop()
                await running
                await moving
                self.assertEqual((await shop.store_info(self.store))["in_work"], 0)
            worker, running = start()
            while (await shop.store_info(self.store))["completed"] < placed:
                await asyncio.sleep(0.02)
            worker.stop()
            await running
            await cluster.aclose()

        with_asyncio(main())
        with redis.RedisCluster.from_url(self.cluster[0]) as cluster:
            self.each_is_completed(holdfast.Client(cluster), placed, handled)

    def test_connections_that_redis_py_closes_in_asyncio_are_a_passing_error(self):
        """It does so at every fifth MOVED of a cluster, whatever they are in the middle of."""

        async def main():
            cluster = redis.asyncio.RedisCluster.from_url(self.cluster[0])
            shop = holdfast.aio.Client(cluster)
            await shop.inv_set(self.store, "mug", 1)
            found = []
            for turns in TURNS:
                calls = [asyncio.create_task(shop.inv_get(self.store, "mug")) for _ in range(HANDS)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                await cluster.aclose()
                found += await asyncio.gather(*calls, return_exceptions=True)
            await cluster.aclose()
            return [error for error in found if isinstance(error, Exception) and not isinstance(error, PASSING)]

        self.assertEqual(with_asyncio(main()), [])

    def each_is_completed(self, shop, placed, handled):
        """Each order is completed by the first handler that had it, and no unit is sold twice."""
        self.assertEqual(handled, {f"o-{at}": 1 for at in range(placed)})
        for order in handled:
            found = shop.order_get(self.store, order)
            self.assertEqual((found.state, found.attempts), ("completed", 0), found)
        mug, info = shop.inv_get(self.store, "mug")[0], shop.store_info(self.store)
        self.assertEqual((mug.on_hand, mug.held, mug.sold), (PLENTY - placed, 0, placed))
        self.assertEqual([info[name] for name in ("completed", "queued", "in_work", "retrying")], [placed, 0, 0, 0])
        self.assertEqual((info["lapsed"], shop.store_audit(self.store)), (0, []))

    def waiting_in_cluster(self):
        """How many callers wait on the nodes of the cluster."""
        nodes = [redis.Redis.from_url(url) for url in self.cluster]
        waiting = sum(node.info("clients")["blocked_clients"] for node in nodes)
        for node in nodes:
            node.close()
        return waiting

    def test_a_trace_goes_from_the_customer_to_the_worker(self):
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        trace.set_tracer_provider(provider)
        with trace.get_tracer("shop").start_as_current_span("checkout") as checkout:
            data = traced({"gift": True})
        self.assertEqual((data["gift"], len(data["traceparent"].split("-"))), (True, 4))
        self.place(1, data=data)
        with InThread(Worker(redis.Redis.from_url(self.url), self.store, lambda job: None, block_ms=200)):
            self.until("the order", lambda: self.info("completed") == 1)
        worked = next(span for span in spans.get_finished_spans() if span.name == f"process {self.store}")
        self.assertEqual(worked.parent.span_id, checkout.get_span_context().span_id)
        self.assertEqual(worked.context.trace_id, checkout.get_span_context().trace_id)
        self.assertEqual(worked.attributes["messaging.message.id"], "o-0")

    def test_no_opentelemetry_is_needed(self):
        code = "import sys; sys.modules['opentelemetry'] = None; import holdfast; print(holdfast.traced({'a': 1}))"
        self.assertEqual(python("-c", code, stdout=-1).communicate()[0], "{'a': 1}\n")

    def test_the_example_sells_out(self):
        for _ in range(2):
            done = python(CLIENTS / "python/examples/popup.py", self.url, stdout=subprocess.PIPE)
            self.assertIn("sold 20 of 20, left 0\n", done.communicate()[0])
            self.assertEqual(done.returncode, 0)


def insist(call):
    """Makes a call until it has a reply."""
    while True:
        try:
            return call()
        except PASSING:
            pass


def refused_at_first(shop):
    """Lets the first calls of ORDER.YIELD fail, sync or asyncio; gives the failures that are left."""
    really, refusals = shop.order_yield, [redis.exceptions.TryAgainError(), redis.TimeoutError()]

    def order_yield(*args):
        if refusals:
            raise refusals.pop()
        return really(*args)

    shop.order_yield = order_yield
    return refusals


def in_threads(work, count):
    """Runs ``work(number)`` in so many threads."""
    threads = [threading.Thread(target=work, args=(at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    unittest.main()
