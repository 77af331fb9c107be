"""Starts clients/tests/lab.py for a module of tests: servers and proxies, gone at the end."""

import asyncio
import json
import os
import pathlib
import random
import resource
import socket
import subprocess
import sys
import time
import unittest

import redis

import holdfast

PATIENCE_S = 60
CLIENTS = pathlib.Path(__file__).resolve().parents[2]
SESSION = [json.loads(line) for line in (CLIENTS / "tests/session.jsonl").read_text().splitlines()]

# A thousand connections at a time.
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))


class Lab(unittest.TestCase):
    """Has ``url``, ``cut``, ``stall``, ``cluster``, ``moves``, ``sentinel`` and ``service`` of the lab."""

    #: Such as ``--cluster``.
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.program = subprocess.Popen(
            [sys.executable, CLIENTS / "tests/lab.py", *cls.options], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        found = json.loads(cls.program.stdout.readline())
        cls.url, cls.cut, cls.stall = found["url"], found["cut"], found["stall"]
        cls.cluster, cls.moves = found.get("cluster"), found.get("moves")
        cls.sentinel, cls.service, cls.failover = found.get("sentinel"), found.get("service"), found.get("failover")

    @classmethod
    def tearDownClass(cls):
        cls.program.communicate()

    def move(self, store, refusals=0):
        """Moves the slot of a store to another node of the cluster, or back; the number of keys that moved.

        After the first, it waits until so many calls were refused with TRYAGAIN.
        """
        return int(told(self.moves, f"{store} {refusals}"))

    def fail_over(self):
        """Makes the other server the one to which the service leads; connections stay with the old one."""
        self.assertEqual(told(self.failover, ""), "done")

    def until(self, what, look):
        """Waits until ``look()`` is true, and gives that."""
        end = time.monotonic() + PATIENCE_S
        while not (found := look()):
            self.assertLess(time.monotonic(), end, f"waited {PATIENCE_S} s for: {what}")
            time.sleep(0.02)
        return found


class OneStore(Lab):
    """Each test has a ``store`` of its own, and a client, ``shop``."""

    def setUp(self):
        self.store = f"store-{random.randrange(2**32)}"
        self.shop = holdfast.Client(redis.Redis.from_url(self.url))
        self.addCleanup(self.shop.redis.close)
        self.addCleanup(self.shop.close)

    def info(self, name):
        return self.shop.store_info(self.store)[name]


def with_asyncio(main):
    """What a coroutine comes to, which may take long, but not for ever."""
    return asyncio.run(asyncio.wait_for(main, 2 * PATIENCE_S))


async def working(worker, is_over):
    """Has a worker of asyncio work until ``is_over()``."""
    running = asyncio.create_task(worker.run(signals=()))
    while not is_over():
        await asyncio.sleep(0.02)
    worker.stop()
    await running


def at(url):
    """Host and port of an address: ``Redis(**at(url))`` sends calls again, ``Redis.from_url(url)`` does not."""
    return {"host": "127.0.0.1", "port": int(url.rpartition(":")[2])}


def told(listener, line):
    """What a listener of the lab replies to a line."""
    with socket.create_connection(listener) as asked:
        asked.sendall(f"{line}\n".encode())
        return asked.makefile().readline().strip()


def python(*args, **options):
    """Another Python program, with the same modules."""
    return subprocess.Popen([sys.executable, *map(str, args)], env={**os.environ}, text=True, **options)
