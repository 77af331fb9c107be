"""Every command, with every keyword, and what its reply becomes."""

import datetime
import importlib.util
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import redis
import redis.asyncio

import holdfast
import holdfast.aio
from holdfast import _wire, errors
from holdfast.types import Info
from holdfast.worker import PASSING

from .lab import CLIENTS, SESSION, Lab, with_asyncio

MOST = 2**53 - 1


def session(shop):
    """The calls of clients/tests/session.jsonl, one by one, with what they are to return."""
    yield shop.store_set("popup", limit=40, paused=False), None
    yield shop.inv_set("popup", "mug", 50, safety=1, low=5, limit=30, backlog=40), 49
    yield shop.inv_set("popup", "cup", 10), 10
    yield shop.inv_adjust("popup", "mug", -1, reason="chipped", ref="adj-1"), 49
    yield shop.inv_sync("popup", "erp", 7, {"pen": 5, "ink": MOST}), "APPLIED"
    yield shop.inv_get("popup", "mug", "nothing", "ink"), lambda skus: (
        (skus[0].on_hand, skus[0].backlog, skus[1], skus[2].on_hand) == (49, 40, None, MOST)
    )
    yield shop.inv_scan("popup", 0, match="m*", count=100, low=True), ("0", [])
    reserved = shop.inv_reserve("popup", "cart-1", {"mug": 4}, customer="alice", ttl_ms=60_000, replace=True)
    yield reserved, lambda at: at > 1_700_000_000_000
    yield shop.inv_extend("popup", "cart-1", 120_000), lambda at: at > 1_700_000_000_000
    yield shop.inv_commit("popup", "cart-1", {"mug": 1}, ref="part-1"), 3
    yield shop.inv_release("popup", "cart-1", [("mug", 1)], ref="part-2"), 2
    yield shop.inv_hold("popup", "cart-1"), lambda hold: (
        (hold.state, hold.customer, hold.left, hold.items[0].committed) == ("live", "alice", 2, 1)
    )
    yield shop.inv_holds("popup", 0, customer="alice", count=100), ("0", ["cart-1"])
    yield shop.order_place(
        "popup",
        "o-1",
        "alice",
        {"mug": 2, "cup": 1},
        group="robot",
        lane="express",
        data={"gift": True},
        gates={"payment": 60_000, "fraud": 0},
        wait=60_000,
    ), None
    yield shop.order_place("popup", "o-2", "alice", hold="cart-1"), lambda entry: entry.count("-") == 1
    yield shop.order_gate("popup", "o-1", "payment", 90_000), lambda at: at > 1_700_000_000_000
    yield shop.order_pass("popup", "o-1", "fraud"), 1
    yield shop.order_pass("popup", "o-1", "payment"), 0
    yield shop.store_lanes("popup"), lambda lanes: [(lane.lane, lane.queued) for lane in lanes] == [
        ("", 1),
        ("express", 1),
    ]
    claim = shop.order_claim(
        "popup", "w-1", count=1, lease_ms=60_000, lanes=["express", "counter"], block_ms=10
    )
    first = yield claim, lambda orders: (
        (orders[0].order, orders[0].items, orders[0].data) == ("o-1", [("cup", 1), ("mug", 2)], {"gift": True})
        or orders[0].items == [("mug", 2), ("cup", 1)]
    )
    token = first[0].token
    yield shop.order_renew("popup", "o-1", token, lease_ms=90_000), lambda at: at > 1_700_000_000_000
    yield shop.order_advance("popup", "o-1", "accepted"), 1
    yield shop.order_advance("popup", "o-1", "picked", from_step="accepted", token=token), 2
    yield shop.order_edit("popup", "o-1", {"mug": 2}, token=token, ref="edit-1", lost=True), 2
    yield shop.order_split("popup", "o-1", "o-3", {"mug": 1}, token=token, lane="counter"), lambda entry: "-" in entry
    completed = shop.order_complete(
        "popup", "o-1", token=token, result={"parcel": "JD014"}, claim="w-1", lease_ms=60_000
    )
    done = yield completed, lambda done: done.next.order == "o-2" and done.next.data is None
    token = done.next.token
    failed = shop.order_fail("popup", "o-2", token=token, reason="no label", after_ms=50)
    yield failed, lambda failure: (failure.state, failure.attempt) == ("retrying", 1) and failure.due > 0
    yield shop.order_fail("popup", "o-2", reason="no label", fatal=True), lambda failure: failure.state == "dead"
    yield shop.order_redrive("popup", "o-2"), 1
    yield shop.order_fail("popup", "o-2", reason="no label", fatal=True), lambda failure: failure.due is None
    yield shop.order_redrive("popup", reason="no*", count=10), 1
    yield shop.order_fail("popup", "o-2", reason="no label", fatal=True), lambda failure: failure.state == "dead"
    yield shop.order_purge("popup", reason="no*", count=10), 1
    yield shop.order_claim("popup", "w-1", order="o-3"), lambda orders: orders[0].lane == "counter"
    yield shop.order_yield("popup", "w-1"), 1
    yield shop.order_cancel("popup", "o-3", reason="too late"), 1
    yield shop.order_return("popup", "o-1", {"mug": 1}, customer="alice", ref="rma-1", scrap=True), 1
    yield shop.order_get("popup", "o-1"), lambda order: (
        (order.state, order.result, order.group, order.gates[0].passed, order.items[0].returned, order.step)
        == ("completed", {"parcel": "JD014"}, "robot", True, 1, "picked")
    )
    yield shop.order_scan("popup", 0, state="completed", customer="alice", lane="", late=True, count=100), ("0", [])
    lock = yield shop.lock_acquire("doc:7", "editor-1", 30_000, wait_ms=10), lambda lock: lock > 0
    yield shop.lock_renew("doc:7", lock, 30_000), True
    yield shop.lock_get("doc:7"), lambda found: (found.owner, found.token, found.waiting) == ("editor-1", lock, 0)
    yield shop.lock_release("doc:7", lock), True
    yield shop.store_get("popup", "limit", "paused"), {"limit": 40, "paused": False}
    yield shop.store_info("popup"), lambda info: (info["completed"], info["in_work"]) == (1, 0)
    yield shop.store_audit("popup"), []
    yield shop.store_repair("popup"), 0
    yield shop.store_drop("popup"), None


def as_sent(call):
    """The call as session.jsonl has it: a token by its name."""
    line = [part.decode() if isinstance(part, bytes) else str(part) for part in call]
    for at, word in enumerate(line[:-1]):
        if word == "TOKEN":
            line[at + 1] = "<token>"
    if line[0] in ("LOCK.RENEW", "LOCK.RELEASE"):
        line[2] = "<token>"
    return line


class Recorded:
    """All calls that go through any redis-py client while it lasts."""

    def __init__(self, kind):
        self.calls = []
        real = kind.execute_command

        def sent(client, *args, **options):
            self.calls.append(args)
            return real(client, *args, **options)

        self.patch = mock.patch.object(kind, "execute_command", sent)

    def __enter__(self):
        self.patch.start()
        return self

    def __exit__(self, *_):
        self.patch.stop()


def pages_of(recorded):
    """The cursors that were sent."""
    return [call[2].decode() for call in recorded.calls if call[0] in ("ORDER.SCAN", "INV.SCAN", "INV.HOLDS")]


class Commands(Lab):
    def ask(self, *command):
        """A command by redis-cli, which shows maps as maps."""
        return json.loads(subprocess.check_output(["redis-cli", "-u", self.url, "-3", "--json", *command]))

    def check(self, returned, wanted):
        if callable(wanted):
            self.assertTrue(wanted(returned), f"got {returned!r}")
        else:
            self.assertEqual(returned, wanted)

    def test_every_command_of_the_session_does_and_returns_what_it_should(self):
        for options in ({}, {"protocol": 2}, {"decode_responses": True}):
            client = redis.Redis.from_url(self.url, **options)
            with self.subTest(options), Recorded(redis.Redis) as recorded:
                steps = session(holdfast.Client(client))
                returned = None
                while True:
                    try:
                        returned, wanted = steps.send(returned)
                    except StopIteration:
                        break
                    self.check(returned, wanted)
            self.assertEqual([as_sent(call) for call in recorded.calls], SESSION)

    def test_the_same_with_asyncio(self):
        async def all_steps(shop):
            steps = session(shop)
            returned = None
            while True:
                try:
                    call, wanted = steps.send(returned)
                except StopIteration:
                    return
                returned = await call
                self.check(returned, wanted)

        async def on(client):
            async with client:
                shop = holdfast.aio.Client(client)
                await all_steps(shop)
                await shop.close()

        for options in ({}, {"protocol": 2}, {"decode_responses": True}):
            with self.subTest(options), Recorded(redis.asyncio.Redis) as recorded:
                with_asyncio(on(redis.asyncio.Redis.from_url(self.url, **options)))
            self.assertEqual([as_sent(call) for call in recorded.calls], SESSION)

    def docs(self):
        """What COMMAND DOCS says of each command, by its name."""
        listed = self.ask("COMMAND", "LIST", "FILTERBY", "MODULE", "holdfast")
        ours = [name for name in listed if not name.lower().startswith("holdfast.")]
        self.assertGreater(len(ours), 30)
        return {name.upper(): about for name, about in self.ask("COMMAND", "DOCS", *ours).items()}

    def test_the_session_has_every_command_and_keyword_of_the_server(self):
        for name, about in self.docs().items():
            lines = [line for line in SESSION if line[0] == name]
            self.assertTrue(lines, f"clients/tests/session.jsonl has no {name}")
            words = {word for line in lines for word in line}
            self.assertEqual(keywords(about["arguments"]) - words, set(), f"session.jsonl has not all of {name}")
            method = name.lower().replace(".", "_")
            self.assertTrue(inspect.isfunction(getattr(holdfast.Client, method)), method)
            self.assertTrue(inspect.iscoroutinefunction(getattr(holdfast.aio.Client, method)), method)

    def test_each_code_of_the_server_is_an_error_of_its_own(self):
        terms = (CLIENTS.parent / "engine/src/terms/refusal.rs").read_text()
        words = set(re.findall(r'^    \w+, "([A-Z]+)"', terms, re.M)) | {"NOSTORE"}
        self.assertEqual(words - {"ERR"} - errors.BY_CODE.keys(), set())

    def test_what_is_no_answer_of_holdfast_is_told_from_a_bad_argument(self):
        made = lambda text: type(errors.refusal(redis.ResponseError(text)))
        for word in set().union(*(keywords(about["arguments"]) for about in self.docs().values())):
            self.assertIs(made(f"{word} must be at least 1, got 0"), errors.BadArgument)
        self.assertIs(made("qty must be at least 1, got 0"), errors.BadArgument)
        self.assertIs(made("unknown command 'INV.SET'"), redis.ResponseError)
        for text in (
            "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
            "MISCONF Errors writing to the AOF file: No space left on device",
            "NOREPLICAS Not enough good replicas to write.",
            "BUSY Redis is busy running a script.",
        ):
            self.assertIs(made(text), errors.Unavailable)
            self.assertTrue(issubclass(errors.Unavailable, PASSING))

    def test_refusals_are_exceptions_with_what_they_say(self):
        client = redis.Redis.from_url(self.url)
        shop = holdfast.Client(client)
        with self.assertRaises(errors.NoStore):
            shop.order_get("nowhere", "o-1")
        shop.inv_set("small", "mug", 1)
        with self.assertRaises(errors.OutOfStock) as out:
            shop.order_place("small", "o-1", "alice", {"mug": 2})
        self.assertEqual((out.exception.sku, out.exception.wanted, out.exception.available), ("mug", 2, 1))
        with self.assertRaises(errors.BadArgument) as bad:
            shop.order_place("small", "o-1", "alice", {"mug": 0})
        self.assertIn("qty", str(bad.exception))
        with self.assertRaises(errors.BadArgument):
            shop.inv_set("small", "mug", 1, limit=-1)
        shop.inv_set("small", "cup", 9, limit=1)
        with self.assertRaises(errors.Limit):
            shop.order_place("small", "o-9", "alice", {"cup": 2})
        shop.order_place("small", "o-1", "alice", {"mug": 1})
        (order,) = shop.order_claim("small", "w")
        with self.assertRaises(errors.Fenced) as fenced:
            shop.order_complete("small", "o-1", token=order.token - 1)
        self.assertEqual(fenced.exception.current, order.token)
        client.set("text", "x")
        with self.assertRaises(errors.WrongType):
            shop.store_info("text")
        with self.assertRaises(errors.HoldfastError):
            shop.store_info("nowhere")

    def test_bytes_that_are_no_text_come_back_as_they_were(self):
        shop = holdfast.Client(redis.Redis.from_url(self.url))
        odd = b"\xff\x00sku".decode("utf-8", "surrogateescape")
        shop.inv_set("odd", odd, 3)
        self.assertEqual(shop.inv_scan("odd"), ("0", [odd]))

    def test_an_iterator_asks_for_a_page_when_it_is_needed_and_ends_with_the_last_one(self):
        shop = holdfast.Client(redis.Redis.from_url(self.url))
        shop.inv_set("pages", "mug", 100)
        ids = [f"o-{at:02}" for at in range(25)]
        for at, order in enumerate(ids):
            shop.order_place("pages", order, f"c-{at}", {"mug": 1})
        with Recorded(redis.Redis) as recorded:
            orders = shop.order_scan_iter("pages", state="queued", count=10)
            self.assertEqual(pages_of(recorded), [])
            self.assertEqual([next(orders) for _ in range(10)], ids[:10])
            self.assertEqual(pages_of(recorded), ["0"])
            shop.order_cancel("pages", "o-11")
            shop.order_place("pages", "o-25", "alice", {"mug": 1})
            self.assertEqual(list(orders), [*ids[10:11], *ids[12:], "o-25"])
            self.assertEqual(pages_of(recorded), ["0", "10", "20"])
            # Pages on which nothing fits are not the end.
            self.assertEqual(list(shop.order_scan_iter("pages", customer="c-24", count=10)), ["o-24"])
            self.assertEqual(pages_of(recorded)[3:], ["0", "10", "20"])

    def test_there_is_an_iterator_for_whatever_has_a_cursor(self):
        async def listed(method, options):
            async with redis.asyncio.Redis.from_url(self.url) as client, holdfast.aio.Client(client) as shop:
                with Recorded(redis.asyncio.Redis) as recorded:
                    return [one async for one in getattr(shop, method)("all", **options)], pages_of(recorded)

        shop = holdfast.Client(redis.Redis.from_url(self.url))
        for at in range(3):
            shop.inv_set("all", f"sku-{at}", 5, low=at * 3)
            shop.inv_reserve("all", f"cart-{at}", {f"sku-{at}": 1}, customer=f"c-{at}")
            shop.order_place("all", f"o-{at}", f"c-{at}", {f"sku-{at}": 1}, lane=f"lane-{at}")
        with_cursor = {name for name, about in self.docs().items() if "cursor" in names(about["arguments"])}
        self.assertEqual(with_cursor, {"INV.SCAN", "INV.HOLDS", "ORDER.SCAN"})
        for name, options, found in (
            ("inv_scan", {}, ["sku-0", "sku-1", "sku-2"]),
            ("inv_scan", {"low": True, "match": "sku-*"}, ["sku-1", "sku-2"]),
            ("inv_holds", {}, ["cart-0", "cart-1", "cart-2"]),
            ("inv_holds", {"customer": "c-2"}, ["cart-2"]),
            ("order_scan", {}, ["o-0", "o-1", "o-2"]),
            ("order_scan", {"state": "queued", "customer": "c-1", "lane": "lane-1"}, ["o-1"]),
            ("order_scan", {"late": True}, []),
        ):
            with self.subTest(name, **options):
                self.assertEqual(list(getattr(shop, f"{name}_iter")("all", **options, count=1)), found)
                self.assertEqual(list(getattr(shop, f"{name}_iter")("all", **options)), found)
                self.assertEqual(
                    with_asyncio(listed(f"{name}_iter", {**options, "count": 1})), (found, ["0", "1", "2"])
                )
        with self.assertRaises(errors.NoStore):
            next(shop.inv_scan_iter("nowhere"))

    def test_the_type_of_store_info_has_the_fields_of_the_server(self):
        holdfast.Client(redis.Redis.from_url(self.url)).inv_set("typed", "mug", 1)
        found = {name.replace("-", "_") for name in self.ask("STORE.INFO", "typed")}
        self.assertEqual(set(Info.__annotations__), found)
        # What a later server adds does no harm.
        self.assertEqual(_wire.info([b"placed", 1, b"brand-new", 2]), {"placed": 1, "brand_new": 2})

    def test_data_with_its_names_in_another_order_is_the_same_content(self):
        shop = holdfast.Client(redis.Redis.from_url(self.url))
        shop.inv_set("data", "mug", 9)
        place = lambda data: shop.order_place("data", "o-1", "alice", {"mug": 1}, data=data)
        entry = place({"to": {"zip": "1", "city": "ü"}, "lines": [{"b": 1.5, "a": 10**18}, "x"], 7: None})
        again = {7: None, "lines": [{"a": 10**18, "b": 1.5}, "x"], "to": {"city": "ü", "zip": "1"}}
        self.assertEqual(place(again), entry)
        (order,) = shop.order_claim("data", "w")
        self.assertEqual(
            order.data_text, '{"7":null,"lines":[{"a":1000000000000000000,"b":1.5},"x"],"to":{"city":"ü","zip":"1"}}'
        )
        with self.assertRaises(errors.Mismatch):
            place({**again, "lines": ["x", {"a": 10**18, "b": 1.5}]})

    def test_a_change_without_ref_that_is_sent_again_counts_once(self):
        client = redis.Redis.from_url(self.url)
        with Recorded(redis.Redis) as recorded:
            holdfast.Client(client).inv_set("again", "mug", 5)
            holdfast.Client(client).inv_adjust("again", "mug", 1)
        client.execute_command(*recorded.calls[-1])
        self.assertEqual(holdfast.Client(client).inv_get("again", "mug")[0].on_hand, 6)

    def test_the_commands_of_asyncio_are_up_to_date(self):
        tool = CLIENTS / "python/tools/async_commands.py"
        self.assertEqual(subprocess.run([sys.executable, tool, "--check"], check=False).returncode, 0)

    def test_the_types_are_right(self):
        if not importlib.util.find_spec("mypy"):
            self.skipTest("there is no mypy here")
        here = CLIENTS / "python"
        with tempfile.TemporaryDirectory() as place:
            page = (here / "README.md").read_text()
            for at, block in enumerate(re.findall(r"```python\n(.*?)```", page, re.DOTALL)):
                (pathlib.Path(place) / f"block_{at}.py").write_text(block)
            files = [here / "src/holdfast", here / "examples", place]
            for checked in files:
                run = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "/dev/null", checked]
                done = subprocess.run(run, capture_output=True, text=True, check=False,
                                      env={**os.environ, "MYPYPATH": str(here / "src")})
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_misspelt_names_are_no_types(self):
        if not importlib.util.find_spec("mypy"):
            self.skipTest("there is no mypy here")
        wrong = "import redis, holdfast\nshop = holdfast.Client(redis.Redis())\n"
        wrong += "shop.store_set('s', limitt=3)\nassert shop.order_get('s', 'o').state == 'compelted'\n"
        run = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "/dev/null", "-c", wrong]
        done = subprocess.run(run, capture_output=True, text=True, check=False,
                              env={**os.environ, "MYPYPATH": str(CLIENTS / "python/src")})
        self.assertEqual(re.findall(r"^<string>:(\d+): error", done.stdout, re.MULTILINE), ["3", "4"], done.stdout)

    def test_what_can_be_no_argument_is_refused_here(self):
        client = redis.Redis.from_url(self.url)
        shop = holdfast.Client(client)
        for wrong in ({}, [], ["mug"], "mug"):
            with self.assertRaises(ValueError):
                shop.order_place("popup", "o-1", "alice", wrong)
        with self.assertRaises(TypeError):
            shop.order_claim("popup", "w", lanes="express")
        for wrong in (float("nan"), "\ud800"):
            with self.assertRaises(ValueError):
                shop.order_place("popup", "o-1", "alice", {"mug": 1}, data={"weight": wrong})
        other = redis.asyncio.Redis.from_url(self.url)
        for kind, wrong in (
            (holdfast.Client, other), (holdfast.Client, client.pipeline()),
            (holdfast.aio.Client, client), (holdfast.aio.Client, other.pipeline()),
        ):  # fmt: skip
            with self.assertRaises(TypeError):
                kind(wrong)
        for options in ({"concurrency": 0}, {"lease_ms": 0}, {"block_ms": 0}):
            for kind, of in ((holdfast.Worker, client), (holdfast.aio.Worker, other)):
                with self.assertRaises(ValueError):
                    kind(of, "popup", print, **options)
        for kind, of in ((holdfast.Worker, client), (holdfast.aio.Worker, other)):
            with self.assertRaises(TypeError):
                kind(of, "popup", print, lanes="express")

        async def handler(_job):
            pass

        with self.assertRaises(TypeError):
            holdfast.Worker(client, "popup", handler)
        for wrong in (-1, 0.5, datetime.timedelta(seconds=1)):
            with self.assertRaises(ValueError):
                holdfast.Retry("later", after_ms=wrong)

    def test_an_error_names_the_sku_as_it_was_given(self):
        shop = holdfast.Client(redis.Redis.from_url(self.url))
        odd = b"\xff\x00".decode("utf-8", "surrogateescape")
        for sku in ("tasse ☕ 大", "a wanted 3 available 7", "back\\slash\n'\"", odd):
            shop.inv_set("names", sku, 1, backlog=0)
            for options in ({}, {"wait": True}):
                with self.assertRaises(errors.OutOfStock) as out:
                    shop.order_place("names", "o-1", "alice", {sku: 9}, **options)
                found = out.exception
                self.assertEqual((found.sku, found.wanted, found.available), (sku, 9, 1), found.message)


def names(arguments):
    """The names of arguments of COMMAND DOCS."""
    return {argument["name"] for argument in arguments}


def keywords(arguments):
    """All tokens of the arguments of COMMAND DOCS."""
    return {
        token
        for argument in arguments
        for token in ({argument.get("token")} - {None}) | keywords(argument.get("arguments", []))
    }


if __name__ == "__main__":
    unittest.main()
