// Starts clients/tests/lab.py: servers and proxies, gone at the end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

import { HoldfastError } from "holdfast-client";
import { createClient } from "redis";

const CLIENTS = fileURLToPath(new URL("../../", import.meta.url));
const PATIENCE_MS = 60_000;

/** The calls of clients/tests/session.jsonl. */
export const SESSION = readFileSync(`${CLIENTS}tests/session.jsonl`, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

/**
 * Starts the lab, which ends after the tests of the file: its addresses, `failOver()`, after which the service leads to
 * another primary, and `move(store, refusals)`, which moves the slot of a store to another node of the cluster, or
 * back, and gives the number of keys that moved. After the first, it waits until so many calls were refused with
 * TRYAGAIN.
 */
export async function startLab(...options) {
  const program = spawn("python3", [`${CLIENTS}tests/lab.py`, ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(createInterface(program.stdout), "line");
  after(async () => {
    program.stdin.end();
    await once(program, "exit");
  });
  const found = JSON.parse(line);
  const told = async ([host, port], line) => {
    const asked = connect(port, host);
    asked.write(`${line}\n`);
    for await (const reply of createInterface(asked)) {
      asked.destroy();
      return reply;
    }
    throw new Error(`no reply to ${line}`);
  };
  const move = async (store, refusals = 0) => Number(await told(found.moves, `${store} ${refusals}`));
  const failOver = async () => assert.equal(await told(found.failover, ""), "done");
  return { ...found, move, failOver };
}

/**
 * A connected client of node-redis with its default options. It is closed after the test, or the file, whatever came of
 * it: a program with an open connection does not end.
 */
export async function client(url, options = {}) {
  const redis = await createClient({ url, ...options }).on("error", () => {}).connect();
  after(() => redis.isOpen && redis.destroy());
  return redis;
}

/** Waits until `look()` gives something true, and gives that. */
export async function until(what, look) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `waited ${PATIENCE_MS} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Another program of Node; `lines` are what it says. */
export function program(...args) {
  const child = spawn(process.execPath, args.map(String), { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return { child, next: async () => (await lines.next()).value, exit: once(child, "exit") };
}

/** Makes a call until it has a reply. */
export async function insist(call) {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (error instanceof HoldfastError || Date.now() > end) throw error;
    }
    // A client that is closed refuses at once, which would leave no time for anything else.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/**
 * Each of the placed orders is completed by the first handler that had it, and no unit of `stock` is sold twice;
 * `handled`: how often a handler had each.
 */
export async function eachIsCompleted(shop, store, handled, { stock, placed }) {
  assert.deepEqual([handled.size, [...new Set(handled.values())]], [placed, [1]]);
  for (const order of handled.keys()) {
    const { state, attempts } = await shop.orderGet(store, order);
    assert.deepEqual([order, state, attempts], [order, "completed", 0]);
  }
  const [mug] = await shop.invGet(store, "mug");
  assert.deepEqual([mug.onHand, mug.held, mug.sold], [stock - placed, 0, placed]);
  const { completed, queued, inWork, retrying, lapsed } = await shop.storeInfo(store);
  assert.deepEqual([completed, queued, inWork, retrying, lapsed], [placed, 0, 0, 0, 0]);
  assert.deepEqual(await shop.storeAudit(store), []);
}
