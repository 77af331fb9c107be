// Every command, with every keyword, and what its reply becomes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { errors, Holdfast } from "holdfast-client";
import { client, SESSION, startLab } from "./lab.js";

const MOST = 2 ** 53 - 1;
const lab = await startLab();

/** All calls of a client of node-redis and of those it duplicates, as session.jsonl has them. */
function recorded(redis, calls = []) {
  const send = redis.sendCommand.bind(redis);
  redis.sendCommand = (args, options) => {
    calls.push(args.map((part, at) => (isToken(args, at) ? "<token>" : part)));
    return send(args, options);
  };
  const duplicate = redis.duplicate.bind(redis);
  redis.duplicate = (overrides) => recorded(duplicate(overrides), calls).redis;
  return { redis, calls };
}

const isToken = (args, at) =>
  args[at - 1] === "TOKEN" || (at === 2 && ["LOCK.RENEW", "LOCK.RELEASE"].includes(args[0]));

const isTime = (at) => assert.ok(at > 1_700_000_000_000, `a time, got ${at}`);

/** The calls of clients/tests/session.jsonl, with what they are to return. */
async function session(shop) {
  const { deepEqual, equal, match } = assert;
  await shop.storeSet("popup", { limit: 40, paused: false });
  equal(await shop.invSet("popup", "mug", 50, { safety: 1, low: 5, limit: 30, backlog: 40 }), 49);
  equal(await shop.invSet("popup", "cup", 10), 10);
  equal(await shop.invAdjust("popup", "mug", -1, { reason: "chipped", ref: "adj-1" }), 49);
  equal(await shop.invSync("popup", "erp", 7, { pen: 5, ink: MOST }), "APPLIED");
  const [mug, nothing, ink] = await shop.invGet("popup", "mug", "nothing", "ink");
  deepEqual([mug.onHand, mug.backlog, nothing, ink.onHand, ink.backlog], [49, 40, null, MOST, null]);
  deepEqual(await shop.invScan("popup", 0, { match: "m*", count: 100, low: true }), { cursor: "0", ids: [] });
  isTime(await shop.invReserve("popup", "cart-1", { mug: 4 }, { customer: "alice", ttlMs: 60_000, replace: true }));
  isTime(await shop.invExtend("popup", "cart-1", 120_000));
  equal(await shop.invCommit("popup", "cart-1", { items: { mug: 1 }, ref: "part-1" }), 3);
  equal(await shop.invRelease("popup", "cart-1", { items: [["mug", 1]], ref: "part-2" }), 2);
  const hold = await shop.invHold("popup", "cart-1");
  deepEqual([hold.state, hold.customer, hold.left, hold.endedAt], ["live", "alice", 2, null]);
  deepEqual(hold.items, [{ sku: "mug", qty: 4, left: 2, committed: 1 }]);
  deepEqual(await shop.invHolds("popup", 0, { customer: "alice", count: 100 }), { cursor: "0", ids: ["cart-1"] });
  const placed = await shop.orderPlace("popup", "o-1", "alice", {
    items: { mug: 2, cup: 1 },
    group: "robot",
    lane: "express",
    data: { gift: true },
    gates: { payment: 60_000, fraud: 0 },
    wait: 60_000,
  });
  equal(placed, null);
  match(await shop.orderPlace("popup", "o-2", "alice", { hold: "cart-1" }), /^\d+-\d+$/);
  isTime(await shop.orderGate("popup", "o-1", "payment", 90_000));
  equal(await shop.orderPass("popup", "o-1", "fraud"), 1);
  equal(await shop.orderPass("popup", "o-1", "payment"), 0);
  const lanes = await shop.storeLanes("popup");
  deepEqual(lanes.map(({ lane, queued }) => [lane, queued]), [["", 1], ["express", 1]]);
  const claim = { count: 1, leaseMs: 60_000, lanes: ["express", "counter"], blockMs: 10 };
  const [first] = await shop.orderClaim("popup", "w-1", claim);
  deepEqual([first.order, first.data, first.attempt], ["o-1", { gift: true }, 1]);
  deepEqual(first.items.sort(), [["cup", 1], ["mug", 2]]);
  const { token } = first;
  isTime(await shop.orderRenew("popup", "o-1", token, { leaseMs: 90_000 }));
  equal(await shop.orderAdvance("popup", "o-1", "accepted"), 1);
  equal(await shop.orderAdvance("popup", "o-1", "picked", { from: "accepted", token }), 2);
  equal(await shop.orderEdit("popup", "o-1", { mug: 2 }, { token, ref: "edit-1", lost: true }), 2);
  match(await shop.orderSplit("popup", "o-1", "o-3", { mug: 1 }, { token, lane: "counter" }), /^\d+-\d+$/);
  const result = { parcel: "JD014" };
  const done = await shop.orderComplete("popup", "o-1", { token, result, claim: "w-1", leaseMs: 60_000 });
  deepEqual([done.next.order, done.next.data], ["o-2", null]);
  const reason = "no label";
  const failed = await shop.orderFail("popup", "o-2", { token: done.next.token, reason, afterMs: 50 });
  deepEqual([failed.state, failed.attempt], ["retrying", 1]);
  isTime(failed.due);
  const dead = () => shop.orderFail("popup", "o-2", { reason, fatal: true });
  deepEqual([(await dead()).state], ["dead"]);
  equal(await shop.orderRedrive("popup", { order: "o-2" }), 1);
  equal((await dead()).due, null);
  equal(await shop.orderRedrive("popup", { reason: "no*", count: 10 }), 1);
  await dead();
  equal(await shop.orderPurge("popup", { reason: "no*", count: 10 }), 1);
  equal((await shop.orderClaim("popup", "w-1", { order: "o-3" }))[0].lane, "counter");
  equal(await shop.orderYield("popup", "w-1"), 1);
  equal(await shop.orderCancel("popup", "o-3", { reason: "too late" }), 1);
  equal(await shop.orderReturn("popup", "o-1", { mug: 1 }, { customer: "alice", ref: "rma-1", scrap: true }), 1);
  const order = await shop.orderGet("popup", "o-1");
  deepEqual([order.state, order.result, order.group], ["completed", result, "robot"]);
  deepEqual([order.step, order.late], ["picked", false]);
  deepEqual([order.gates[0].passed, order.items[0].returned, order.token], [true, 1, null]);
  deepEqual([order.history[0].event, typeof order.history[0].at], ["placed", "number"]);
  const scanned = { state: "completed", customer: "alice", lane: "", late: true, count: 100 };
  deepEqual(await shop.orderScan("popup", 0, scanned), { cursor: "0", ids: [] });
  const lock = await shop.lockAcquire("doc:7", "editor-1", 30_000, { waitMs: 10 });
  equal(await shop.lockRenew("doc:7", lock, 30_000), true);
  const held = await shop.lockGet("doc:7");
  deepEqual([held.owner, held.token, held.waiting], ["editor-1", lock, 0]);
  equal(await shop.lockRelease("doc:7", lock), true);
  deepEqual(await shop.storeGet("popup", "limit", "paused"), { limit: 40, paused: false });
  const info = await shop.storeInfo("popup");
  deepEqual([info.completed, info.inWork], [1, 0]);
  deepEqual(await shop.storeAudit("popup"), []);
  equal(await shop.storeRepair("popup"), 0);
  equal(await shop.storeDrop("popup"), undefined);
}

for (const options of [{}, { RESP: 2 }, { RESP: 3 }])
  test(`every command does and returns what it should: ${JSON.stringify(options)}`, async () => {
    const { redis, calls } = recorded(await client(lab.url, options));
    const shop = new Holdfast(redis);
    await session(shop);
    shop.close();
    assert.deepEqual(calls, SESSION);
  });

test("there is a method for every command", () => {
  for (const [name] of SESSION) {
    const [family, what] = name.toLowerCase().split(".");
    const method = family + what[0].toUpperCase() + what.slice(1);
    assert.equal(typeof Holdfast.prototype[method], "function", method);
  }
});

test("every setting of the server has a type", async () => {
  const redis = await client(lab.url);
  const shop = new Holdfast(redis);
  await shop.storeSet("typed", { limit: 1 });
  const found = await shop.storeGet("typed");
  const { readFileSync } = await import("node:fs");
  const types = readFileSync(new URL("../dist/types.d.ts", import.meta.url), "utf8");
  for (const [name, value] of Object.entries(found)) assert.match(types, new RegExp(`${name}: ${typeof value};`));
});

/** All ids that an iterator gives. */
async function all(ids) {
  const found = [];
  for await (const id of ids) found.push(id);
  return found;
}

test("an iterator asks for a page when it is needed, and ends with the last one", async () => {
  const { redis, calls } = recorded(await client(lab.url));
  const shop = new Holdfast(redis);
  await shop.invSet("pages", "mug", 100);
  const ids = Array.from({ length: 25 }, (_, at) => `o-${String(at).padStart(2, "0")}`);
  for (const id of ids) await shop.orderPlace("pages", id, `c-${id}`, { items: { mug: 1 } });
  const pages = () => calls.filter(([name]) => name === "ORDER.SCAN").map(([, , cursor]) => cursor);
  const orders = shop.orderScanIterator("pages", { state: "queued", count: 10 });
  assert.deepEqual(pages(), []);
  for (const id of ids.slice(0, 10)) assert.deepEqual(await orders.next(), { value: id, done: false });
  assert.deepEqual(pages(), ["0"]);
  await shop.orderCancel("pages", "o-11");
  await shop.orderPlace("pages", "o-25", "alice", { items: { mug: 1 } });
  assert.deepEqual(await all(orders), ["o-10", ...ids.slice(12), "o-25"]);
  assert.deepEqual(pages(), ["0", "10", "20"]);
  // Pages on which nothing fits are not the end.
  assert.deepEqual(await all(shop.orderScanIterator("pages", { customer: "c-o-24", count: 10 })), ["o-24"]);
  assert.deepEqual(pages().slice(3), ["0", "10", "20"]);
});

test("there is an iterator for whatever has a cursor", async () => {
  const { redis, calls } = recorded(await client(lab.url));
  const shop = new Holdfast(redis);
  for (const at of [0, 1, 2]) {
    await shop.invSet("all", `sku-${at}`, 5, { low: at * 3 });
    await shop.invReserve("all", `cart-${at}`, { [`sku-${at}`]: 1 }, { customer: `c-${at}` });
    await shop.orderPlace("all", `o-${at}`, `c-${at}`, { items: { [`sku-${at}`]: 1 }, lane: `lane-${at}` });
  }
  for (const [method, options, found] of [
    ["invScan", {}, ["sku-0", "sku-1", "sku-2"]],
    ["invScan", { low: true, match: "sku-*" }, ["sku-1", "sku-2"]],
    ["invHolds", {}, ["cart-0", "cart-1", "cart-2"]],
    ["invHolds", { customer: "c-2" }, ["cart-2"]],
    ["orderScan", {}, ["o-0", "o-1", "o-2"]],
    ["orderScan", { state: "queued", customer: "c-1", lane: "lane-1" }, ["o-1"]],
    ["orderScan", { late: true }, []],
  ])
    for (const [counted, pages] of [[{ count: 1 }, 3], [{}, 1]]) {
      calls.splice(0);
      assert.deepEqual(await all(shop[`${method}Iterator`]("all", { ...options, ...counted })), found);
      assert.equal(calls.length, pages);
    }
  await assert.rejects(shop.orderScanIterator("all", { lanes: "x" }).next(), TypeError);
  await assert.rejects(shop.orderScanIterator("nowhere").next(), errors.NoStore);
});

test("the type of STORE.INFO has the fields of the server", async () => {
  const redis = await client(lab.url);
  const shop = new Holdfast(redis);
  await shop.invSet("typed", "mug", 1);
  const { readFileSync } = await import("node:fs");
  const [, type] = readFileSync(new URL("../dist/types.d.ts", import.meta.url), "utf8").split("interface Info {");
  const fields = type.split("}")[0].matchAll(/^ +(\w+): number( \| null)?;$/gm);
  const found = Object.fromEntries([...fields].map(([, name, orNull]) => [name, orNull !== undefined]));
  const info = await shop.storeInfo("typed");
  assert.deepEqual(Object.keys(found).sort(), Object.keys(info).sort());
  for (const [name, value] of Object.entries(info)) assert.ok(found[name] || typeof value === "number", name);
});

test("data with its names in another order is the same content", async () => {
  const redis = await client(lab.url);
  const shop = new Holdfast(redis);
  await shop.invSet("data", "mug", 9);
  const place = (data) => shop.orderPlace("data", "o-1", "alice", { items: { mug: 1 }, data });
  const at = new Date(0);
  const entry = await place({ to: { zip: "1", city: "ü" }, lines: [{ b: 1.5, a: at }, new Number(2)], "a!": 1, a: [] });
  const again = { a: [], "a!": 1, lines: [{ a: at, b: 1.5 }, 2], to: { city: "ü", zip: "1" } };
  assert.equal(await place(again), entry);
  const sent = '{"a":[],"a!":1,"lines":[{"a":"1970-01-01T00:00:00.000Z","b":1.5},2],"to":{"city":"ü","zip":"1"}}';
  assert.equal((await redis.xRange("{data}:orders", "-", "+"))[0].message.data, sent);
  await assert.rejects(place({ ...again, lines: [2, { a: at, b: 1.5 }] }), errors.Mismatch);
});

test("refusals are errors with what they say", async () => {
  const redis = await client(lab.url);
  const shop = new Holdfast(redis);
  await assert.rejects(shop.orderGet("nowhere", "o-1"), errors.NoStore);
  await shop.invSet("small", "mug", 1);
  await assert.rejects(shop.orderPlace("small", "o-1", "alice", { items: { mug: 2 } }), (error) => {
    assert.ok(error instanceof errors.OutOfStock && error instanceof errors.HoldfastError);
    assert.deepEqual([error.code, error.sku, error.wanted, error.available], ["OUTOFSTOCK", "mug", 2, 1]);
    return true;
  });
  await assert.rejects(shop.orderPlace("small", "o-1", "alice", { items: { mug: 0 } }), errors.BadArgument);
  await shop.orderPlace("small", "o-1", "alice", { items: { mug: 1 } });
  const [{ token }] = await shop.orderClaim("small", "w");
  await assert.rejects(shop.orderComplete("small", "o-1", { token: token - 1 }), (error) => error.current === token);
  await redis.set("text", "x");
  await assert.rejects(shop.storeInfo("text"), errors.WrongType);
});

test("numbers that a double cannot hold are refused here, not rounded", async () => {
  const redis = await client(lab.url);
  await assert.rejects(new Holdfast(redis).invSet("popup", "mug", 2 ** 53), RangeError);
});

test("items that name no SKU are refused here", async () => {
  const shop = new Holdfast(await client(lab.url));
  for (const items of [{}, [], new Map()]) {
    const refused = { name: "TypeError", message: /items must name a SKU, such as { mug: 2 }, got none/ };
    await assert.rejects(shop.orderPlace("popup", "o-1", "alice", { items }), refused);
    await assert.rejects(shop.invReserve("popup", "cart-1", items), refused);
  }
});

test("each code of the server is an error of its own", async () => {
  const { readFileSync } = await import("node:fs");
  const terms = readFileSync(new URL("../../../engine/src/terms/refusal.rs", import.meta.url), "utf8");
  const words = [...terms.matchAll(/^ {4}\w+, "([A-Z]+)"/gm)].map((found) => found[1]);
  assert.ok(words.length > 10);
  for (const word of ["NOSTORE", ...words]) assert.ok(errors.BY_CODE[word], word);
});
