// What becomes of orders when workers fail, stop and die, and when connections break.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { beforeEach, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { propagation } from "@opentelemetry/api";
import { createCluster, ErrorReply } from "redis";

import { errors, Fatal, Holdfast, Retry, traced, Worker } from "holdfast-client";
import { client, eachIsCompleted, insist, program, startLab, until } from "./lab.js";

const ORDERS = 400;
const HANDS = 8;
const PLENTY = 1_000_000;
/** Workers of a store that moves, one after the other. */
const CREWS = 2;
const REFUSALS = 3;
const MINUTES = 600_000;
const ENDING = fileURLToPath(new URL("ending.js", import.meta.url));
const CREW = fileURLToPath(new URL("crew.js", import.meta.url));
const quiet = { log: () => {}, blockMs: 200 };

const lab = await startLab("--cluster");
const redis = await client(lab.url);
const shop = new Holdfast(redis);
let store;
let stores = 0;

beforeEach(() => {
  store = `store-${(stores += 1)}`;
});

async function place(orders, options = {}) {
  await shop.invSet(store, "mug", orders + 10);
  for (let at = 0; at < orders; at += 1)
    await shop.orderPlace(store, `o-${at}`, `c-${at}`, { items: { mug: 1 }, ...options });
}

const state = (order = "o-0") => shop.orderGet(store, order);
const info = async (name) => (await shop.storeInfo(store))[name];

/** Runs a worker until `done()`. */
async function working(worker, done) {
  const running = worker.run({ signals: [] });
  await Promise.race([until("what the worker does", done), running]);
  worker.stop();
  await running;
}

test("what a handler returns or throws is what becomes of the order", async () => {
  await place(5);
  const handler = async ({ order, attempt, items }) => {
    if (order === "o-1") throw new Fatal("no such address");
    if (order === "o-2" && attempt === 1) throw new Retry("printer out of paper", { afterMs: 1 });
    if (order === "o-3" && attempt === 1) throw new Error("a mistake");
    if (order === "o-4" && attempt === 1) return () => {};
    return { items, attempt };
  };
  const worker = new Worker(redis, store, handler, quiet);
  await working(worker, async () => (await info("completed")) === 4 && (await info("dead")) === 1);
  assert.deepEqual((await state("o-0")).result, { items: [["mug", 1]], attempt: 1 });
  assert.deepEqual([(await state("o-1")).state, (await state("o-1")).reason], ["dead", "no such address"]);
  assert.deepEqual([(await state("o-2")).result.attempt, (await state("o-2")).attempts], [2, 1]);
  const reasonOf = async (order) => (await state(order)).history.find(({ event }) => event === "failed").reason;
  assert.equal(await reasonOf("o-3"), "a mistake");
  assert.match(await reasonOf("o-4"), /JSON/);
});

test("a store that is made later is waited for", async () => {
  const worker = new Worker(redis, store, () => 1, quiet);
  setTimeout(() => void place(1), 200);
  await working(worker, async () => (await info("completed").catch(() => 0)) === 1);
});

test("a lease is renewed while the handler runs", async () => {
  await place(1);
  const worker = new Worker(redis, store, () => pause(1_200), { ...quiet, leaseMs: 400 });
  await working(worker, async () => (await info("completed")) === 1);
  assert.deepEqual([await info("lapsed"), (await state()).attempts], [0, 0]);
});

test("a lease that is lost aborts the handler's signal", async () => {
  await place(1);
  let reason;
  const handler = async ({ order, signal }) => {
    await shop.orderCancel(store, order);
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    reason = signal.reason;
  };
  await working(new Worker(redis, store, handler, { ...quiet, leaseMs: 300 }), () => reason);
  assert.ok(reason instanceof errors.Fenced || reason instanceof errors.BadState, reason);
});

test("lanes are served as named", async () => {
  await place(1, { lane: "express" });
  await shop.orderPlace(store, "other", "c", { items: { mug: 1 } });
  const worker = new Worker(redis, store, () => null, { ...quiet, lanes: ["express"] });
  await working(worker, async () => (await state()).state === "completed");
  assert.equal((await state("other")).state, "queued");
});

test("a worker that is killed with an order in hand loses none", async () => {
  await place(1);
  const first = program(CREW, lab.url, store, "w-1", 1_000, "hangs");
  assert.equal(await first.next(), "o-0");
  first.child.kill("SIGKILL");
  const second = program(CREW, lab.url, store, "w-2", 1_000, "works");
  await until("the other worker", async () => (await info("completed")) === 1);
  second.child.kill("SIGTERM");
  assert.deepEqual([await second.next(), await second.next(), (await second.exit)[0]], ["o-0", "ended", 0]);
  assert.deepEqual([(await state()).attempts, await info("lapsed")], [1, 1]);
});

test("SIGTERM lets the handler finish and takes no other order", async () => {
  await place(2);
  const worker = program(CREW, lab.url, store, "w-1", MINUTES, "works");
  assert.equal(await worker.next(), "o-0");
  worker.child.kill("SIGTERM");
  assert.deepEqual([await worker.next(), (await worker.exit)[0]], ["ended", 0]);
  assert.deepEqual([await info("completed"), await info("queued"), await info("inWork")], [1, 1, 0]);
});

test("SIGTERM gives back what a handler does not finish", async () => {
  await place(1);
  const worker = program(CREW, lab.url, store, "w-1", MINUTES, "hangs");
  assert.equal(await worker.next(), "o-0");
  worker.child.kill("SIGTERM");
  assert.deepEqual([await worker.next(), (await worker.exit)[0]], ["ended", 0]);
  assert.deepEqual([await info("queued"), (await state()).attempts], [1, 0]);
});

test("what no attempt would mend ends the worker", async () => {
  await redis.set("text", "x");
  await assert.rejects(new Worker(redis, "text", () => null, quiet).run({ signals: [] }), errors.WrongType);
});

test("through a proxy that cuts connections nothing is lost or doubled", async () => {
  const handled = new Map();
  const handler = ({ order }) => void handled.set(order, (handled.get(order) ?? 0) + 1);
  await shop.invSet(store, "mug", ORDERS);
  const cut = await client(lab.cut);
  const customers = new Holdfast(cut);
  const buy = async (first) => {
    for (let at = first; at < ORDERS; at += HANDS)
      await insist(() => customers.orderPlace(store, `o-${at}`, `c-${at}`, { items: { mug: 1 } }));
  };
  const worker = new Worker(cut, store, handler, { ...quiet, leaseMs: MINUTES, concurrency: HANDS });
  const buying = Promise.all(Array.from({ length: HANDS }, (_, at) => buy(at)));
  await working(worker, async () => (await info("completed")) === ORDERS);
  await buying;
  for (let ref = 0; ref < 50; ref += 1)
    await insist(() => customers.invAdjust(store, "mug", 1, { ref: String(ref) }));
  assert.equal(handled.size, ORDERS);
  assert.deepEqual([...new Set(handled.values())], [1]);
  const [mug] = await shop.invGet(store, "mug");
  assert.deepEqual([mug.onHand, mug.held, mug.sold], [50, 0, ORDERS]);
  assert.deepEqual([await info("lapsed"), await shop.storeAudit(store)], [0, []]);
});

async function connectedCluster(t) {
  const cluster = createCluster({ rootNodes: [{ url: lab.cluster[0] }] }).on("error", () => {});
  await cluster.connect();
  t.after(() => cluster.destroy());
  return cluster;
}

test("a cluster is asked where the store is", async (t) => {
  const cluster = await connectedCluster(t);
  const there = new Holdfast(cluster);
  for (const name of ["popup", "drop", "darkstore", "kiosk"]) {
    await there.invSet(name, "mug", 10);
    const worker = new Worker(cluster, name, () => null, quiet);
    const running = worker.run({ signals: [] });
    await there.orderPlace(name, "o-1", "alice", { items: { mug: 1 } });
    await until("the order", async () => (await there.storeInfo(name)).completed === 1);
    worker.stop();
    await running;
  }
});

test("a store moves while its workers wait and work", async (t) => {
  const cluster = await connectedCluster(t);
  const there = new Holdfast(cluster);
  const handled = new Map();
  const handler = ({ order }) => void handled.set(order, (handled.get(order) ?? 0) + 1);
  const options = { log: () => {}, leaseMs: MINUTES };
  let placed = 0;
  /** What a worker goes through, and is told to end in the middle of. */
  const moves = async (worker) => {
    await until("both to wait for an order", async () => (await waitingInCluster()) === 2);
    assert.ok((await lab.move(store)) > 1);
    let isMoving = true;
    const busy = lab.move(store, REFUSALS).finally(() => (isMoving = false));
    for (; isMoving; placed += 1)
      await insist(() => there.orderPlace(store, `o-${placed}`, `c-${placed}`, { items: { mug: 1 } }));
    await busy;
    await until("some orders", () => handled.size);
    const stopping = lab.move(store);
    worker.stop();
    await stopping;
  };
  await there.invSet(store, "mug", PLENTY);
  for (let crew = 0; crew < CREWS; crew += 1) {
    const worker = new Worker(cluster, store, handler, { ...options, concurrency: 2 });
    await Promise.all([worker.run({ signals: [] }), moves(worker)]);
    assert.equal((await there.storeInfo(store)).inWork, 0);
  }
  const all = async () => (await there.storeInfo(store)).completed === placed;
  await working(new Worker(cluster, store, handler, options), all);
  await eachIsCompleted(there, store, handled, { stock: PLENTY, placed });
});

test("a call is sent again while the keys of its store are on two nodes", async () => {
  const { redis: halfway, refused } = refusing("ORDER.PLACE", "TRYAGAIN Multiple keys request");
  await place(0);
  await new Holdfast(halfway).orderPlace(store, "o-0", "alice", { items: { mug: 1 } });
  assert.deepEqual([refused(), (await state()).state], [REFUSALS, "queued"]);
});

test("a stop insists on giving back what a worker has", async () => {
  await place(1);
  const { redis: halfway, refused } = refusing("ORDER.YIELD", "LOADING Redis is loading the dataset in memory");
  const handler = () => new Promise(() => {});
  const worker = new Worker(halfway, store, handler, { ...quiet, leaseMs: MINUTES, stopWithinMs: 0 });
  await working(worker, async () => (await info("inWork")) === 1);
  assert.deepEqual([refused(), await info("queued"), (await state()).attempts], [REFUSALS, 1, 0]);
});

/** The client, with the first calls of a command refused. */
function refusing(command, message) {
  let refused = 0;
  const sendCommand = (args, options) => {
    if (args[0] !== command || refused === REFUSALS) return redis.sendCommand(args, options);
    refused += 1;
    return Promise.reject(new ErrorReply(message));
  };
  return { redis: { sendCommand, duplicate: () => redis.duplicate() }, refused: () => refused };
}

/** How many callers wait on the nodes of the cluster. */
async function waitingInCluster() {
  let waiting = 0;
  for (const url of lab.cluster) {
    const node = await client(url);
    waiting += Number(/blocked_clients:(\d+)/.exec(await node.info("clients"))[1]);
    node.destroy();
  }
  return waiting;
}

test("a stop ends a claim that waits, and nothing is handed to it any more", async () => {
  await place(0);
  for (const stopWithinMs of [0, MINUTES]) {
    const worker = new Worker(redis, store, assert.fail, { stopWithinMs, leaseMs: MINUTES });
    const running = worker.run({ signals: [] });
    await until("the claim", async () => /blocked_clients:1\b/.test(await redis.info("clients")));
    worker.stop();
    await running;
    await shop.orderPlace(store, `o-${stopWithinMs}`, "alice", { items: { mug: 1 } });
    assert.deepEqual([await info("queued"), await info("inWork")], [1, 0]);
    await shop.orderCancel(store, `o-${stopWithinMs}`);
  }
});

test("a program ends once its clients are closed, whatever it waited for", async () => {
  await place(0);
  for (const how of ["waits", "waited"]) {
    const ending = program(ENDING, lab.url, store, how);
    assert.match(await ending.next(), how === "waits" ? /^rejected/ : /^\[\]$/);
    assert.deepEqual(await ending.exit, [0, null]);
  }
});

test("a handler that ends with its signal is no failed attempt", async () => {
  await place(1);
  const said = [];
  const handler = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const worker = new Worker(redis, store, handler, { stopWithinMs: 0, log: (message) => said.push(message) });
  const running = worker.run({ signals: [] });
  await until("the claim", async () => (await info("inWork")) === 1);
  worker.stop();
  await running;
  assert.deepEqual([said, await info("queued"), (await state()).attempts], [[], 1, 0]);
});

test("a stop does not wait for a server that is gone", async () => {
  await place(1);
  const [real, sockets] = [new URL(lab.url), new Set()];
  const proxy = createServer((near) => {
    const far = connect(real.port, real.hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on("error", () => {}).on("close", () => to.destroy()).pipe(to);
    }
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  const through = await client(`redis://127.0.0.1:${proxy.address().port}`);
  const said = [];
  const options = { stopWithinMs: 0, leaseMs: MINUTES, log: (message) => said.push(message) };
  let isAtWork;
  const worker = new Worker(through, store, () => new Promise(() => (isAtWork = true)), options);
  const running = worker.run({ signals: [] });
  await until("the handler", () => isAtWork);
  proxy.close();
  for (const socket of sockets) socket.destroy();
  worker.stop();
  await running;
  through.destroy();
  assert.match(said.at(-1), /cannot give back the orders of .*, their leases will end: the server does not answer/);
});

test("a trace goes from the customer to the worker", async () => {
  const spans = new InMemorySpanExporter();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }));
  const { data, checkout } = trace.getTracer("shop").startActiveSpan("checkout", (span) => {
    const found = traced({ gift: true });
    span.end();
    return { data: found, checkout: span.spanContext() };
  });
  assert.deepEqual([data.gift, data.traceparent.split("-")[1]], [true, checkout.traceId]);
  await place(1, { data });
  let inside;
  const handler = () => {
    inside = trace.getActiveSpan().spanContext().traceId;
  };
  await working(new Worker(redis, store, handler, quiet), async () => (await info("completed")) === 1);
  const worked = spans.getFinishedSpans().find(({ name }) => name === `process ${store}`);
  assert.deepEqual([worked.spanContext().traceId, inside], [checkout.traceId, checkout.traceId]);
  assert.equal(worked.parentSpanContext.spanId, checkout.spanId);
  assert.equal(worked.attributes["messaging.message.id"], "o-0");
});

test("the example sells out", async () => {
  for (let run = 0; run < 2; run += 1) {
    const shopping = program(fileURLToPath(new URL("../examples/popup.js", import.meta.url)), lab.url);
    let last;
    for (let line = await shopping.next(); line !== undefined; line = await shopping.next()) last = line;
    assert.deepEqual([last, (await shopping.exit)[0]], ["sold 20 of 20, left 0", 0]);
  }
});
