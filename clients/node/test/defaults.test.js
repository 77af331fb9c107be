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
const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");

/** What the table calls a library: with the first two numbers of the version that is here. */
function named(library, folder) {
  const { version } = JSON.parse(read(`../node_modules/${folder}/package.json`));
  return `${library} ${version.split(".").slice(0, 2).join(".")}`;
}

const NODE_REDIS = `${named("node-redis", "redis")} \`createClient\``;
const IOREDIS = `${named("ioredis", "ioredis")} \`Redis\``;
const HASTY = `${IOREDIS} with \`commandTimeout\``;

/** The rows of these libraries, each with its cells. */
const ROWS = read("../../../docs/workers.md")
  .split("\n")
  .map((line) => line.split("|").map((cell) => cell.trim()).slice(1, 6))
  .filter(([library]) => /^(node-redis|ioredis) \d/.test(library));

const lab = await startLab();
const shop = new Holdfast(await client(lab.url));

/** Gives up after, its connection then, sends the claim again, the next order goes to. */
function row(library) {
  return ROWS.find((cells) => cells[0] === library).slice(1);
}

/** Places an order in a store whose next order somebody waits for. */
async function next(store) {
  await shop.orderPlace(store, "o-1", "alice", { items: { mug: 1 } });
  await until("the claim", async () => (await shop.storeInfo(store)).inWork === 1);
}

test("every row is tried", () => {
  assert.deepEqual(ROWS.map(([library]) => library), [NODE_REDIS, IOREDIS, HASTY]);
});

for (const [library, open] of [
  [NODE_REDIS, async (claim) => {
    const own = await client(lab.url);
    return { claimed: own.sendCommand(claim), close: () => own.destroy() };
  }],
  [IOREDIS, async (claim) => {
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

test(HASTY, async () => {
  assert.deepEqual(row(HASTY), ["commandTimeout", "open", "no", "nobody"]);
  await shop.invSet("hasty", "mug", 1);
  const own = new Redis(lab.url, { commandTimeout: 100 });
  await assert.rejects(own.call("ORDER.CLAIM", "hasty", "w", "BLOCK", "0"), /timed out/);
  assert.equal(own.status, "ready");
  // The caller is gone, the connection is not: the order goes to nobody.
  await next("hasty");
  own.disconnect();
});
