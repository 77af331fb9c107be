// What becomes of workers and customers when another server is the primary: through a sentinel when the primary is
// gone, and through an address that leads to the new one, while connections stay with the old one, a replica now.

import assert from "node:assert/strict";
import { test } from "node:test";

import { createSentinel } from "redis";

import { errors, Holdfast, Worker } from "holdfast-client";
import { client, eachIsCompleted, insist, startLab, until } from "./lab.js";

const STORE = "popup";
const ORDERS = 20;
const PLENTY = 1_000;
const MINUTES = 600_000;
const PATIENCE_MS = 60_000;
/** The order that a worker has in hand when the primary goes. */
const IN_HAND = "o-0";

const lab = await startLab("--sentinel", "--service");

/** The address of the primary, as the sentinel says. */
async function primary() {
  const [host, port] = lab.sentinel;
  const sentinel = await client(`redis://${host}:${port}`);
  const found = await sentinel.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop"]);
  sentinel.destroy();
  return `redis://${found.join(":")}`;
}

/** Ends the primary when its replica has everything. */
async function endPrimary() {
  const ending = await client(await primary(), { socket: { reconnectStrategy: false } });
  // WAIT is about the writes of its own connection, and what came before them.
  await ending.set("last", "write");
  assert.equal(await ending.wait(1, PATIENCE_MS), 1);
  await assert.rejects(ending.sendCommand(["SHUTDOWN", "NOSAVE", "NOW"]));
}

/** A sentinel of node-redis with its default options. */
async function connected(t) {
  const [host, port] = lab.sentinel;
  const redis = createSentinel({ name: "shop", sentinelRootNodes: [{ host, port }] }).on("error", () => {});
  t.after(() => redis.destroy());
  return redis.connect();
}

test("a claim whose connection breaks is not sent again", async (t) => {
  const [redis, direct] = [await connected(t), await client(await primary())];
  const shop = new Holdfast(redis);
  await shop.invSet("kiosk", "mug", 1);
  const waiting = async () => (await direct.sendCommand(["CLIENT", "LIST"])).match(/id=\d+(?=.* flags=b)/g);
  let ended;
  const claim = shop.orderClaim("kiosk", "w", { blockMs: 0 }).catch((error) => (ended = error));
  const [caller] = await until("the claim", waiting);
  await direct.sendCommand(["CLIENT", "KILL", "ID", caller.slice("id=".length)]);
  await until("what becomes of the claim", async () => ended ?? (await waiting()));
  assert.ok(ended, "the claim was sent again");
  assert.ok(errors.isPassing(await claim));
});

test("a claim that does not wait has a connection of its own that sends nothing again", async () => {
  let options;
  const own = { on: () => {}, connect: async () => {}, sendCommand: async () => [], destroy: async () => {} };
  const duplicate = (found) => ((options = found), { ...redis, ...own });
  const redis = { sendCommand: assert.fail, getMasterNode: () => {}, duplicate };
  assert.deepEqual(await new Holdfast(redis).orderClaim(STORE, "w"), []);
  assert.equal(options.maxCommandRediscovers, 0);
});

/** How the primary is reached, how another becomes it, and the address of the one that is it. */
const WAYS = {
  "through a sentinel": { reached: connected, changed: endPrimary, primary },
  "through an address": {
    reached: async (t) => {
      const redis = await client(`redis://${lab.service.join(":")}`);
      t.after(() => redis.destroy());
      return redis;
    },
    changed: () => lab.failOver(),
    primary: async () => `redis://${lab.service.join(":")}`,
  },
};

for (const [way, { reached, changed, primary }] of Object.entries(WAYS)) {
  test(`a worker and its customers go on at the promoted replica, ${way}`, async (t) => {
    const redis = await reached(t);
    const shop = new Holdfast(redis);
    const handled = new Map();
    const promoted = new AbortController();
    const handler = async ({ order }) => {
      handled.set(order, (handled.get(order) ?? 0) + 1);
      if (order === IN_HAND) await until("the failover", () => promoted.signal.aborted);
    };
    const place = async (first) => {
      for (let at = first; at < first + ORDERS; at += 1)
        await insist(() => shop.orderPlace(STORE, `o-${at}`, `c-${at}`, { items: { mug: 1 } }));
    };
    const completed = (orders) =>
      until(`${orders} orders`, async () => (await shop.storeInfo(STORE)).completed === orders);

    await shop.invSet(STORE, "mug", PLENTY);
    const warnings = [];
    const options = { leaseMs: MINUTES, concurrency: 2, log: (message) => warnings.push(message) };
    const worker = new Worker(redis, STORE, handler, options);
    const running = worker.run({ signals: [] });
    await place(0);
    await completed(ORDERS - 1);
    await changed();
    await place(ORDERS);
    promoted.abort();
    await completed(2 * ORDERS);
    worker.stop();
    await running;
    assert.match(warnings.join("\n"), /trying again/);
    const there = await client(await primary());
    await eachIsCompleted(new Holdfast(there), STORE, handled, { stock: PLENTY, placed: 2 * ORDERS });
    there.destroy();
  });
}
