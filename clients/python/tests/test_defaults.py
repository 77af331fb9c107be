"""What redis-py's defaults do to a claim that waits: the rows of docs/workers.md."""

import asyncio
import threading
import time
import unittest

import redis
import redis.asyncio

import holdfast

from .lab import CLIENTS, Lab, at

#: The claim that waits, as anyone would send it.
CLAIM = ("ORDER.CLAIM", "popup", "w", "BLOCK", 0)
GIVES_UP_AFTER_S = 5


def rows():
    """Of each way to connect: gives up after, its connection then, sends the claim again, the next order goes to."""
    lines = (CLIENTS.parent / "docs/workers.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| redis-py ")]
    return {tuple(found[0].rsplit(" ", 1)): found[1:5] for found in cells}


#: The one that is here: its name with the first two numbers of its version.
LIBRARY = "redis-py " + ".".join(redis.__version__.split(".")[:2])


def row(way):
    return rows()[LIBRARY, f"`{way}`"]


class Defaults(Lab):
    def setUp(self):
        self.server = redis.Redis.from_url(self.url)
        self.shop = holdfast.Client(self.server)
        self.shop.inv_set("popup", "mug", 5)
        self.addCleanup(self.server.close)
        self.addCleanup(self.server.flushall)

    def waiting(self):
        """The connections that wait for an order."""
        return [one["id"] for one in self.server.client_list() if one["cmd"].lower() == "order.claim"]

    def gives_up_closes_and_sends_again(self):
        self.until("the claim", self.waiting)
        first, start = self.waiting(), time.monotonic()
        self.until("another one alone", lambda: len(found := self.waiting()) == 1 and found != first)
        self.assertGreater(time.monotonic() - start, GIVES_UP_AFTER_S - 1)
        self.shop.order_place("popup", "o-1", "alice", {"mug": 1})

    def test_every_row_is_tried(self):
        ways = ("Redis()", "Redis.from_url()", "asyncio.Redis()")
        self.assertEqual(set(rows()), {(LIBRARY, f"`{way}`") for way in ways})

    def test_sync(self):
        self.assertEqual(row("Redis()"), [f"{GIVES_UP_AFTER_S} s", "closed", "yes", "the caller"])
        got = []
        caller = threading.Thread(target=lambda: got.extend(redis.Redis(**at(self.url)).execute_command(*CLAIM)))
        caller.start()
        self.gives_up_closes_and_sends_again()
        caller.join()
        self.assertEqual(len(got), 1)

    def test_from_url(self):
        wanted = [f"{GIVES_UP_AFTER_S} s", "closed", "no", "the next caller"]
        self.assertEqual(row("Redis.from_url()"), wanted)
        start = time.monotonic()
        with self.assertRaises(redis.TimeoutError):
            redis.Redis.from_url(self.url).execute_command(*CLAIM)
        self.assertGreater(time.monotonic() - start, GIVES_UP_AFTER_S - 1)
        self.until("the connection to be closed", lambda: not self.waiting())
        self.shop.order_place("popup", "o-1", "alice", {"mug": 1})
        self.assertEqual(len(self.shop.order_claim("popup", "next")), 1)

    def test_asyncio(self):
        wanted = [f"{GIVES_UP_AFTER_S} s", "closed", "yes", "the caller"]
        self.assertEqual(row("asyncio.Redis()"), wanted)

        async def main():
            async with redis.asyncio.Redis(**at(self.url)) as client:
                caller = asyncio.create_task(client.execute_command(*CLAIM))
                await asyncio.to_thread(self.gives_up_closes_and_sends_again)
                return await caller

        self.assertEqual(len(asyncio.run(main())), 1)


if __name__ == "__main__":
    unittest.main()
