// What becomes of an order whose handler gives what cannot be kept, or throws something odd: a failed attempt, once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createClientPool } from "redis";

import { errors, Holdfast, Retry, Worker } from "holdfast-client";
import { client, startLab, until } from "./lab.js";

const STORE = "popup";
const TOO_LARGE = 2 << 20;

/** By order: what its handler does, and how the reason begins then. */
const ODD = {
  "no-json": [() => 1n, "Do not know how to serialize a BigInt"],
  "too-large": [() => "x".repeat(TOO_LARGE), "ERR RESULT must be at most 1048576 bytes"],
  nothing: [() => () => {}, "the handler's result has no JSON"],
  verbose: [raising(() => new Error("x".repeat(TOO_LARGE))), "xxx"],
  speechless: [raising(() => Object.defineProperty(new Error(), "message", { get: () => assert.fail() })), "an error"],
  "no-error": [raising(() => Object.create(null)), "an error without words"],
  "no-number": [raising(() => new Retry("later", { afterMs: NaN })), "afterMs must be a number"],
};

const lab = await startLab();
const redis = await client(lab.url);
const shop = new Holdfast(redis);

function raising(made) {
  return () => {
    throw made();
  };
}

test("what cannot be kept is a failed attempt, once", async () => {
  await shop.storeSet(STORE, { attempts: 1 });
  await shop.invSet(STORE, "mug", 100);
  const orders = [...Object.keys(ODD), "plain"];
  for (const order of orders) await shop.orderPlace(STORE, order, "alice", { items: { mug: 1 } });
  const handled = [];
  const said = [];
  const handler = ({ order }) => {
    handled.push(order);
    return ODD[order]?.[0]();
  };
  const worker = new Worker(redis, STORE, handler, { log: (message) => said.push(message) });
  const running = worker.run({ signals: [] });
  const ended = async () => {
    const { completed, deadLetters } = await shop.storeInfo(STORE);
    return completed + deadLetters === orders.length;
  };
  await Promise.race([until("all orders", ended), running]);
  worker.stop();
  await running;
  assert.deepEqual(handled, orders);
  for (const [order, [, reason]] of Object.entries(ODD)) {
    const found = await shop.orderGet(STORE, order);
    assert.deepEqual([order, found.state, found.reason?.slice(0, reason.length)], [order, "dead", reason]);
    assert.ok(said.includes(`order ${order} is dead after attempt 1`), order);
  }
  assert.equal((await shop.orderGet(STORE, "plain")).state, "completed");
});

test("what can be no option or argument is refused here, by its promise", async () => {
  for (const wrong of [{ concurrency: 0 }, { leaseMs: NaN }, { blockMs: 0 }, { blockMs: 1.5 }, { lanes: "express" }])
    assert.throws(() => new Worker(redis, STORE, () => null, wrong), /must be an/, JSON.stringify(wrong));
  assert.throws(() => new Worker(redis, STORE, () => null, { lease: 1 }), /unknown option 'lease'/);
  assert.throws(() => new Worker(redis, STORE), /the handler must be a function/);
  assert.throws(() => new Retry("later", 10_000), TypeError);
  assert.equal(new Retry("later", { afterMs: 1.5 }).options.afterMs, 2);
  for (const wrong of [undefined, lab.url])
    assert.throws(() => new Holdfast(wrong), /redis must be a client, a cluster or a sentinel/);
  await assert.rejects(new Worker(createClientPool(), STORE, () => null).run({ signals: [] }), /a pool is none/);
  for (const items of [{}, [], ["mug"], "mug", null, [{ sku: "mug" }]])
    await assert.rejects(shop.orderPlace(STORE, "o-1", "alice", { items }), /items must/);
  const items = { mug: 1 };
  const gate = { payment: 1 };
  await assert.rejects(shop.orderPlace(STORE, "o-1", "alice", { items, gate }), /unknown option 'gate'/);
  await assert.rejects(shop.orderPlace(STORE, 17, "alice", { items }), /must be a string, got number 17/);
  await assert.rejects(shop.orderPurge(STORE, { reson: "fraud*" }), /unknown option 'reson'/);
  await assert.rejects(shop.orderPurge(STORE, "fraud*"), /unknown option/);
  await assert.rejects(shop.orderRedrive(STORE, { ordr: "o-1" }), /unknown option 'ordr'/);
  await assert.rejects(shop.orderRedrive(STORE, { order: undefined }), /must be a string/);
  await assert.rejects(shop.invCommit(STORE, "h-1", { tems: items }), /unknown option 'tems'/);
  await assert.rejects(shop.orderClaim(STORE, "w", { lanes: "express" }), /lanes must be an array/);
  await assert.rejects(shop.orderClaim(STORE, "w", { blockMs: -1 }), /must be an integer from 0/);
  await assert.rejects(shop.lockAcquire("door", "w", 1_000, { waitMs: 0.5 }), /must be an integer from 0/);
});

test("gates come as an object or a Map", async () => {
  await shop.invSet("gates", "mug", 9);
  for (const [order, gates] of [["o-1", { payment: 0 }], ["o-2", new Map([["payment", 0]])]]) {
    assert.equal(await shop.orderPlace("gates", order, "alice", { items: { mug: 1 }, gates }), null);
    assert.deepEqual((await shop.orderGet("gates", order)).gates.map(({ gate }) => gate), ["payment"]);
  }
});

test("an error names the SKU as it was given", async () => {
  for (const sku of ["tasse ☕ 大", "a wanted 3 available 7", "back\\slash\n\t'\""]) {
    await shop.invSet("names", sku, 1, { backlog: 0, limit: 20 });
    for (const options of [{}, { wait: true }])
      await assert.rejects(shop.orderPlace("names", "o-1", "alice", { items: { [sku]: 9 }, ...options }), (error) => {
        assert.deepEqual([error.sku, error.wanted, error.available], [sku, 9, 1], error.message);
        return true;
      });
    await assert.rejects(shop.orderPlace("names", "o-1", "limit 7 has 8", { items: { [sku]: 21 } }), (error) => {
      assert.ok(error instanceof errors.Limit);
      assert.deepEqual([error.limit, error.has], [20, 0]);
      return true;
    });
  }
});

test("an id that is no text stops no worker, and goes back as it came", async () => {
  const [order, customer, sku] = [Buffer.from("odd-\xff\xfe", "latin1"), Buffer.from("☕\xc3".slice(1), "latin1"), "🍵"];
  await redis.sendCommand(["INV.SET", "odd", sku, "1"]);
  await redis.sendCommand(["ORDER.PLACE", "odd", order, customer, "ITEMS", sku, "1"]);
  const handled = [];
  const worker = new Worker(redis, "odd", (job) => handled.push(job), { leaseMs: 300 });
  const running = worker.run({ signals: [] });
  await until("the order", async () => (await shop.storeInfo("odd")).completed === 1);
  worker.stop();
  await running;
  const [job] = handled;
  assert.deepEqual([job.order, job.customer, job.items], ["odd-\udcff\udcfe", "\udcc3", [[sku, 1]]]);
  assert.equal((await shop.orderGet("odd", "odd-\udcff\udcfe")).state, "completed");
  const mixed = "a\udcffb🍵\udcf0\udc9f☕\ufffd";
  await shop.invSet("odd", mixed, 1);
  assert.deepEqual((await shop.invScan("odd")).ids.sort(), [mixed, sku].sort());
  await assert.rejects(shop.orderPlace("odd", "o-1", "ann", { items: { [mixed]: 2 } }), (error) => error.sku === mixed);
});
