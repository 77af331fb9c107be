// A thousand claims that run into the client's time-out leave no order behind.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { errors, Holdfast, Worker } from "holdfast-client";
import { client, startLab, until } from "./lab.js";

const CLAIMS = 1000;
const AT_A_TIME = 250;
const MINUTES = 600_000;

const lab = await startLab();
const redis = await client(lab.url);
const stalled = await client(lab.stall);
const shop = new Holdfast(redis);
let store;
let stores = 0;

beforeEach(async () => {
  store = `store-${(stores += 1)}`;
  await shop.invSet(store, "mug", CLAIMS);
});

async function place() {
  const one = (_, at) => shop.orderPlace(store, `o-${at}`, "alice", { items: { mug: 1 } });
  await Promise.all(Array.from({ length: CLAIMS }, one));
}

/** All orders wait, and the next worker gets each of them, at its first attempt. */
async function nothingIsLeftBehind() {
  const { queued, inWork, lapsed } = await shop.storeInfo(store);
  assert.deepEqual([queued, inWork, lapsed], [CLAIMS, 0, 0]);
  const orders = await shop.orderClaim(store, "next", { count: CLAIMS });
  assert.deepEqual([orders.length, [...new Set(orders.map(({ attempt }) => attempt))]], [CLAIMS, [1]]);
}

test("calls that wait in vain are not waited for on the server", async () => {
  const waiting = new Holdfast(stalled);
  let timedOut = 0;
  const claim = async (_, number) => {
    for (let at = 0; at < CLAIMS / AT_A_TIME; at += 1)
      await assert.rejects(waiting.orderClaim(store, `w-${number}`, { blockMs: 10 }), (error) => {
        timedOut += 1;
        return error instanceof errors.TimeOut;
      });
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, claim));
  assert.equal(timedOut, CLAIMS);
  await until("the server to see that", async () => /blocked_clients:0\b/.test(await redis.info("clients")));
  await place();
  await nothingIsLeftBehind();
});

test("a worker gives back the orders whose claims timed out", async () => {
  await place();
  let timedOut = 0;
  const worker = new Worker(stalled, store, () => null, {
    leaseMs: MINUTES,
    concurrency: AT_A_TIME,
    log: (message) => {
      timedOut += /no reply to ORDER.CLAIM/.test(message) ? 1 : 0;
      if (timedOut === CLAIMS) worker.stop();
    },
  });
  await worker.run({ signals: [] });
  assert.ok(timedOut >= CLAIMS);
  await nothingIsLeftBehind();
});
