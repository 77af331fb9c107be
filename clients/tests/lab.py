#!/usr/bin/env python3
"""What the tests of the clients run against: servers with the module, and two proxies that misbehave.

Prints one line of JSON with their addresses, and runs until its standard input ends. Then everything is gone.

  url      a redis-server
  cut      the same through a proxy that cuts connections at random, in the middle of calls and replies
  stall    the same through a proxy that keeps the replies of a connection from the first ORDER.CLAIM on
  cluster  three primaries (with --cluster)
  moves    host and port: the line "STORE REFUSALS" moves the slot of a store to another primary of the cluster, or
           back, key by key; after the first key it waits until so many calls were refused with TRYAGAIN. The reply is
           a line with the number of keys, when all primaries know the new owner (with --cluster)
  sentinel host and port of a sentinel that watches a primary and its replica as "shop" (with --sentinel)
  replica  a replica, which refuses writes (with --sentinel)
  service  host and port of an address that leads to a primary, as that of a load balancer (with --service)
  failover host and port: a line makes the replica of that primary the primary, to which the service leads from then on;
           connections that are there stay with the old one. The reply is a line, when all that is done
           (with --service)

HOLDFAST_MODULE names the module (without: target/release), HOLDFAST_CLIENTS_SEED the seed of the cuts.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_S = 30
PATIENCE_MS = PATIENCE_S * 1000
POLL_S = 0.02
#: One chunk in so many is the last of its connection.
CUT_ONE_IN = 60
CHUNK = 65536
HASH_SLOTS = 16384
#: More than a slot has.
MOST_KEYS = 1000
PRIMARIES = 3
#: How soon a sentinel makes the replica the primary, and how soon it tries again.
DOWN_AFTER_MS = 500
FAILOVER_TIMEOUT_MS = 3000


def until(what, look):
    """Waits until ``look()`` is true."""
    end = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {PATIENCE_S} s for: {what}")
        time.sleep(POLL_S)


def free_port():
    """A port that nobody listens on, and whose cluster bus has one too."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        port = some.getsockname()[1]
    return port if port < 55_000 else free_port()


def ask(port, *command):
    """A command by redis-cli; its output."""
    asked = subprocess.run(["redis-cli", "-p", str(port), *map(str, command)], capture_output=True, text=True)
    return asked.stdout.strip()


class Servers:
    """redis-servers in a directory of their own."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-clients-"))
        self.running = []

    def start(self, *options):
        """Starts one and gives its port."""
        port = free_port()
        home = self.dir / str(port)
        home.mkdir()
        module = os.environ.get("HOLDFAST_MODULE", REPOSITORY / "target/release/libholdfast.so")
        args = ["--bind", "127.0.0.1", "--loadmodule", module, "--save", "", *options]
        return self.run(port, home, *args)

    def run(self, port, home, *args):
        """Starts a server on a port, and waits for it."""
        program = [os.environ.get("REDIS_SERVER", "redis-server"), *args, "--port", port, "--dir", home]
        log = (home / "log").open("w")
        self.running.append(subprocess.Popen([*map(str, program)], stdout=log, stderr=log))
        until(f"redis-server on port {port}, see {home}/log", lambda: ask(port, "PING") == "PONG")
        return port

    def start_cluster(self):
        """Starts three primaries that share the slots."""
        ports = [self.start("--cluster-enabled", "yes") for _ in range(PRIMARIES)]
        share = HASH_SLOTS // PRIMARIES
        for at, port in enumerate(ports):
            last = HASH_SLOTS - 1 if at == PRIMARIES - 1 else (at + 1) * share - 1
            ask(port, "CLUSTER", "ADDSLOTSRANGE", at * share, last)
            ask(port, "CLUSTER", "MEET", "127.0.0.1", ports[0])
        for port in ports:
            until("the cluster", lambda port=port: "cluster_state:ok" in ask(port, "CLUSTER", "INFO"))
            until("its slots", lambda port=port: ask(port, "CLUSTER", "SLOTS").count("127.0.0.1") == PRIMARIES)
        return ports

    def start_pair(self):
        """Starts a primary with a replica."""
        primary = self.start("--repl-diskless-sync-delay", "0")
        replica = self.start("--repl-diskless-sync-delay", "0", "--replicaof", f"127.0.0.1 {primary}")
        until("the replica", lambda: follows(replica))
        # A moment later the primary knows that it is there.
        until("the primary", lambda: "state=online" in ask(primary, "INFO", "replication"))
        return primary, replica

    def start_sentinel(self):
        """Starts a primary with a replica, and a sentinel that watches them."""
        primary, _ = self.start_pair()
        port = free_port()
        home = self.dir / str(port)
        home.mkdir()
        config = home / "sentinel.conf"
        config.write_text(
            f"bind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {primary} 1\n"
            f"sentinel down-after-milliseconds shop {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout shop {FAILOVER_TIMEOUT_MS}\n"
        )
        self.run(port, home, config, "--sentinel")
        known = "master-link-status\nok"
        until("the sentinel to know the replica", lambda: known in ask(port, "SENTINEL", "REPLICAS", "shop"))
        return port

    def remove(self):
        for server in self.running:
            server.kill()
            server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def told(port, *command):
    """A command by redis-cli that is to be answered OK."""
    reply = ask(port, *command)
    if reply != "OK":
        raise RuntimeError(f"{' '.join(map(str, command))}: {reply}")


def follows(port):
    """Whether this server is a replica that has its primary's data."""
    return "master_link_status:up" in ask(port, "INFO", "replication")


class Listener:
    """Answers lines, one at a time: ``answer(*words)`` is called in a thread, its result is the reply."""

    def __init__(self, answer):
        self.answer = answer
        self.one_at_a_time = asyncio.Lock()

    async def start(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        return ["127.0.0.1", server.sockets[0].getsockname()[1]]

    async def serve(self, reader, writer):
        with contextlib.closing(writer):
            while line := await reader.readline():
                async with self.one_at_a_time:
                    reply = await asyncio.to_thread(self.answer, *line.decode().split())
                writer.write(f"{reply}\n".encode())


class Moves:
    """Moves slots between the primaries of a cluster, as ``redis-cli --cluster reshard`` does it."""

    def __init__(self, ports):
        self.ports = ports
        self.ids = [ask(port, "CLUSTER", "MYID") for port in ports]
        self.homes = {}

    def move(self, store, refusals):
        """Moves the slot of a store from its first owner to the next primary, or back; the number of keys."""
        slot = ask(self.ports[0], "CLUSTER", "KEYSLOT", store)
        source = next(at for at, port in enumerate(self.ports) if not ask(port, "EXISTS", store).startswith("MOVED"))
        home = self.homes.setdefault(slot, source)
        target = (home + 1) % PRIMARIES if source == home else home
        told(self.ports[target], "CLUSTER", "SETSLOT", slot, "IMPORTING", self.ids[source])
        told(self.ports[source], "CLUSTER", "SETSLOT", slot, "MIGRATING", self.ids[target])
        moved = self.move_keys(slot, self.ports[source], self.ports[target], store, self.refused() + int(refusals))
        # The new owner first: it is the one that makes the others believe it.
        for at in sorted(range(PRIMARIES), key=lambda at: at != target):
            told(self.ports[at], "CLUSTER", "SETSLOT", slot, "NODE", self.ids[target])
        # One that does not know the new owner's epoch yet could believe the old owner again.
        until("the new owner of the slot", lambda: len({self.owned(port, target) for port in self.ports}) == 1)
        return moved

    def move_keys(self, slot, source, target, first, refused):
        """Moves all keys of a slot, one at a time; how many. After the first, waits until calls were refused."""
        moved = 0
        # Until the store has moved, clients may make further keys.
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, MOST_KEYS).split():
            for key in sorted(keys, key=lambda key: key != first):
                told(source, "MIGRATE", "127.0.0.1", target, "", 0, PATIENCE_MS, "KEYS", key)
                until(f"{refused} refusals", lambda: self.refused() >= refused)
            moved += len(keys)
        return moved

    def refused(self):
        """How many calls came while a part of their keys was on another primary."""
        counts = [re.search(r"TRYAGAIN:count=(\d+)", ask(port, "INFO", "errorstats")) for port in self.ports]
        return sum(int(count[1]) for count in counts if count)

    def owned(self, port, owner):
        """The epoch and the slots of a primary, as the one at ``port`` knows them."""
        nodes = [line.split() for line in ask(port, "CLUSTER", "NODES").splitlines()]
        return next((node[6], *node[8:]) for node in nodes if node[0] == self.ids[owner])


class Proxy:
    """Passes bytes on; ``spoils`` decides chunk by chunk what becomes of them."""

    def __init__(self, target, spoil):
        self.target = target
        self.spoil = spoil

    async def start(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=2048)
        return server.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        link = {"stalled": False}
        ways = [
            asyncio.ensure_future(self.pass_on(link, "calls", reader, far_writer)),
            asyncio.ensure_future(self.pass_on(link, "replies", far_reader, writer)),
        ]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, far_writer):
            end.transport.abort()

    async def pass_on(self, link, way, reader, writer):
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                kept, goes_on = self.spoil(link, way, chunk)
                writer.write(kept)
                await writer.drain()
                if not goes_on:
                    return


class Service(Proxy):
    """An address that leads to the primary of a pair."""

    def __init__(self, primary, replica):
        super().__init__(primary, lambda _link, _way, chunk: (chunk, True))
        self.replica = replica

    def fail_over(self):
        """Makes the replica the primary, with all writes, and the primary its replica."""
        told(self.target, "FAILOVER", "TO", "127.0.0.1", self.replica)
        until("the failover", lambda: follows(self.target))
        self.target, self.replica = self.replica, self.target
        return "done"


def cutting(seed):
    """Ends a connection at random, often in the middle of a chunk."""
    chance = random.Random(seed)

    def spoil(_link, _way, chunk):
        if chance.randrange(CUT_ONE_IN):
            return chunk, True
        return chunk[: chance.randrange(len(chunk) + 1)], False

    return spoil


def stalling(link, way, chunk):
    """Keeps the replies of a connection from its first claim on."""
    link["stalled"] = link["stalled"] or (way == "calls" and b"ORDER.CLAIM" in chunk)
    return (b"", True) if way == "replies" and link["stalled"] else (chunk, True)


async def serve(servers):
    port = servers.start()
    seed = int(os.environ.get("HOLDFAST_CLIENTS_SEED") or random.randrange(2**32))
    print(f"seed of the cuts: HOLDFAST_CLIENTS_SEED={seed}", file=sys.stderr)
    found = {
        "url": f"redis://127.0.0.1:{port}",
        "cut": f"redis://127.0.0.1:{await Proxy(port, cutting(seed)).start()}",
        "stall": f"redis://127.0.0.1:{await Proxy(port, stalling).start()}",
    }
    if "--cluster" in sys.argv[1:]:
        ports = servers.start_cluster()
        found["cluster"] = [f"redis://127.0.0.1:{port}" for port in ports]
        found["moves"] = await Listener(Moves(ports).move).start()
    if "--sentinel" in sys.argv[1:]:
        found["sentinel"] = ["127.0.0.1", servers.start_sentinel()]
        # Of nobody: nothing listens on port 1.
        found["replica"] = f"redis://127.0.0.1:{servers.start('--replicaof', '127.0.0.1 1')}"
    if "--service" in sys.argv[1:]:
        service = Service(*servers.start_pair())
        found["service"] = ["127.0.0.1", await service.start()]
        found["failover"] = await Listener(service.fail_over).start()
    print(json.dumps(found), flush=True)
    loop = asyncio.get_running_loop()
    ended = loop.run_in_executor(None, sys.stdin.buffer.read)
    await ended


def main():
    # A test program that is killed closes the pipe: that ends this one too, with everything it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers = Servers()
    try:
        asyncio.run(serve(servers))
    finally:
        servers.remove()


if __name__ == "__main__":
    main()
