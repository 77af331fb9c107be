// Whole lives of orders on Node, for `holdfast bench life`: with BullMQ, and with Holdfast over the same client.
//
// A request is a line of JSON on standard input, its answer a line of JSON on standard output:
//   {"do": "prepare", "flow": "bullmq" | "holdfast", "port": 6379, "batch": 64, "skus": ["…"]}  →  {"ready": true}
//   {"do": "run", "first": 0, "orders": 20000}  →  {"orders": 20000, "seconds": 1.5}
//   {"do": "close"}  →  {"closed": true}
// or {"error": "…"}. The process stays for all rounds, so that its code is compiled before the rounds that count.
//
// In both flows a producer and a worker run side by side on connections of their own, as in a shop: the producer adds
// one order at a time or `batch` in one go, the worker has up to `batch` in hand and does nothing with them.

import { createInterface } from 'node:readline';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';

const QUEUE = 'bench';
const STORE = 'bench';
const WORKER = 'worker-1';
/** Longer than a run: a lease that ends would give an order to a second worker. */
const LEASE_MS = 600_000;
/** A run that takes longer than this never ends. */
const RUN_DEADLINE_MS = 300_000;
/** What BullMQ's documentation asks of connections that block. */
const CONNECTION = { host: '127.0.0.1', maxRetriesPerRequest: null };

const connect = (port) => new Redis({ ...CONNECTION, port });

/** Order number `n`: ids as long as those of the other flows, and a SKU like theirs. */
const order = (n, skus) => ({
  order: n.toString(16).padStart(16, '0'),
  customer: (n + 2 ** 40).toString(16).padStart(16, '0'),
  sku: skus[n % skus.length],
});

/** Calls `add` with numbers `first` to `first + orders - 1`, `batch` at a time. */
async function inBatches(first, orders, batch, add) {
  const end = first + orders;
  for (let n = first; n < end; n += batch) {
    await add(Array.from({ length: Math.min(batch, end - n) }, (_, i) => n + i));
  }
}

class BullMq {
  constructor({ port, batch, skus }) {
    Object.assign(this, { batch, skus });
    this.connections = [connect(port), connect(port)];
    this.queue = new Queue(QUEUE, { connection: this.connections[0] });
    const options = { connection: this.connections[1], concurrency: batch, autorun: false };
    this.worker = new Worker(QUEUE, async () => {}, options);
  }

  async ready() {
    await this.queue.waitUntilReady();
    await this.worker.waitUntilReady();
  }

  async run({ first, orders }) {
    const completed = this.allCompleted(orders);
    await Promise.all([this.produce(first, orders), completed]);
    return orders;
  }

  produce(first, orders) {
    return inBatches(first, orders, this.batch, (numbers) => {
      const jobs = numbers.map((n) => this.job(n));
      return jobs.length === 1 ? this.queue.add(jobs[0].name, jobs[0].data, jobs[0].opts) : this.queue.addBulk(jobs);
    });
  }

  job(n) {
    const { order: id, customer, sku } = order(n, this.skus);
    return { name: 'order', data: { order: id, customer, items: [[sku, 1]] }, opts: { removeOnComplete: true } };
  }

  /** Sets the worker to work until it has completed so many. */
  allCompleted(orders) {
    return new Promise((resolve, reject) => {
      let left = orders;
      this.worker.on('completed', () => {
        left -= 1;
        if (left === 0) resolve();
      });
      this.worker.on('failed', (_job, error) => reject(error));
      this.worker.on('error', reject);
      this.worker.run().catch(reject);
    });
  }

  async close() {
    await this.worker.close();
    await this.queue.close();
    this.connections.forEach((connection) => connection.disconnect());
  }
}

class Holdfast {
  constructor({ port, batch, skus }) {
    Object.assign(this, { batch, skus });
    this.producer = connect(port);
    this.consumer = connect(port);
  }

  async ready() {
    await Promise.all([this.producer.ping(), this.consumer.ping()]);
  }

  async run({ first, orders }) {
    const work = this.batch === 1 ? this.workOneByOne(orders) : this.workInBatches(orders);
    const [, done] = await Promise.all([this.produce(first, orders), work]);
    return done;
  }

  produce(first, orders) {
    return inBatches(first, orders, this.batch, (numbers) => send(this.producer, numbers.map((n) => this.place(n))));
  }

  place(n) {
    const { order: id, customer, sku } = order(n, this.skus);
    return ['ORDER.PLACE', STORE, id, customer, 'ITEMS', sku, 1];
  }

  /** Completes one order and has the next in the same reply, as BullMQ's worker does. */
  async workOneByOne(orders) {
    let held = null;
    for (let done = 0; done < orders; done += 1) {
      held ??= (await this.claim())[0];
      const complete = [...completion(held), 'CLAIM', WORKER, 'LEASE', LEASE_MS];
      [, held] = await this.consumer.call(...complete);
    }
    return orders;
  }

  async workInBatches(orders) {
    let done = 0;
    while (done < orders) {
      const held = await this.claim();
      await send(this.consumer, held.map(completion));
      done += held.length;
    }
    return done;
  }

  claim() {
    return this.consumer.call('ORDER.CLAIM', STORE, WORKER, 'COUNT', this.batch, 'LEASE', LEASE_MS, 'BLOCK', 0);
  }

  async close() {
    this.producer.disconnect();
    this.consumer.disconnect();
  }
}

/** A claimed order comes as a flat list of fields and values. */
const field = (held, name) => held[held.indexOf(name) + 1];

const completion = (held) => ['ORDER.COMPLETE', STORE, field(held, 'order'), 'TOKEN', field(held, 'token')];

/** Sends commands in one pipeline (or as one call) and fails if any of them did. */
async function send(redis, commands) {
  if (commands.length === 1) return redis.call(...commands[0]);
  const pipeline = redis.pipeline();
  commands.forEach((command) => pipeline.call(...command));
  const replies = await pipeline.exec();
  const failed = replies.find(([error]) => error);
  if (failed) throw failed[0];
  return replies;
}

const FLOWS = { bullmq: BullMq, holdfast: Holdfast };
let lives = null;

const HANDLERS = {
  async prepare(request) {
    lives = new FLOWS[request.flow](request);
    await lives.ready();
    return { ready: true };
  },

  async run(request) {
    const deadline = setTimeout(() => fail(`not done after ${RUN_DEADLINE_MS} ms`), RUN_DEADLINE_MS);
    const start = performance.now();
    const orders = await lives.run(request);
    const seconds = (performance.now() - start) / 1000;
    clearTimeout(deadline);
    return { orders, seconds };
  },

  async close() {
    await lives.close();
    return { closed: true };
  },
};

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

function fail(message) {
  process.stdout.write(`${JSON.stringify({ error: message })}\n`, () => process.exit(1));
}

process.on('unhandledRejection', (error) => fail(String(error)));

for await (const line of createInterface({ input: process.stdin })) {
  try {
    const request = JSON.parse(line);
    answer(await HANDLERS[request.do](request));
  } catch (error) {
    fail(String(error));
  }
}
process.exit(0);
