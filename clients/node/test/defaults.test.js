// What the defaults of node-redis and ioredis do to a claim that waits: the rows of docs/workers.md.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { Redis } from "ioredis";

import { Holdfast } from "holdfast-client";
import { client, startLab, until } from "./lab.js";

/** Longer than the time-out of any library here. */
const LONG_MS = 6_000;
const WORKERS = readFileSync(new URL("../../../docs/workers.md", import.meta.url), "utf8");

const lab = await startLab();
const shop = new Holdfast(await client(lab.url));

/** Gives up after, its connection then, sends the claim again, the next order goes to. */
function row(library) {
  const rows = WORKERS.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  return rows.find((cells) => cells[1] === library).slice(2, 6);
}

/** Places an order in a store whose next order somebody waits for. */
async function next(store) {
  await shop.orderPlace(store, "o-1", "alice", { items: { mug: 1 } });
  await until("the claim", async () => (await shop.storeInfo(store)).inWork === 1);
}

for (const [library, open] of [
  ["node-redis 6.3 `createClient`", async (claim) => {
    const own = await client(lab.url);
    return { claimed: own.sendCommand(claim), close: () => own.destroy() };
  }],
  ["ioredis 6.0 `Redis`", async (claim) => {
    const own = new Redis(lab.url);
    return { claimed: own.call(...claim), close: () => own.disconnect() };
  }],
])
  test(library, async () => {
    assert.deepEqual(row(library), ["never", "", "no", "the caller"]);
    const store = library.split(" ")[0];
    await shop.invSet(store, "mug", 1);
    const { claimed, close } = await open(["ORDER.CLAIM", store, "w", "BLOCK", "0"]);
    assert.equal(await Promise.race([claimed, pause(LONG_MS, "waits")]), "waits");
    await next(store);
    assert.equal((await claimed).length, 1);
    close();
  });

test("ioredis 6.0 `Redis` with `commandTimeout`", async () => {
  assert.deepEqual(row("ioredis 6.0 `Redis` with `commandTimeout`"), ["commandTimeout", "open", "no", "nobody"]);
  await shop.invSet("hasty", "mug", 1);
  const own = new Redis(lab.url, { commandTimeout: 100 });
  await assert.rejects(own.call("ORDER.CLAIM", "hasty", "w", "BLOCK", "0"), /timed out/);
  assert.equal(own.status, "ready");
  // The caller is gone, the connection is not: the order goes to nobody.
  await next("hasty");
  own.disconnect();
});
