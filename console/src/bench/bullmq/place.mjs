// Places orders over many connections, for `holdfast bench suite`: with BullMQ, and with Holdfast through the same
// Redis client. A request a line on standard input, an answer a line on standard output:
//   {"do": "prepare", "flow": "bullmq" | "holdfast", "port": 6379, "connections": 50, "pipeline": 16, "skus": ["…"],
//    "items": 1, "orders": 1000 (if duplicates are to be sent, of this many orders), "refused": false}
//   → {"ready": true}
//   {"do": "run", "first": 0, "most": 100000, "ms": 1000}
//   → {"orders": 20000, "next": 20000, "seconds": 1.0, "latencies_us": [[300, 16], …]}: each with how many had it
//   {"do": "close"}  →  {"closed": true}
// or {"error": "…"}.

import { createInterface } from 'node:readline';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

const QUEUE = 'bench';
const STORE = 'bench';
const CONNECTION = { host: '127.0.0.1', maxRetriesPerRequest: null };

/** Order number `n`: ids as long as those of the other clients. */
function order(n, { skus, items, orders }) {
  const number = orders > 0 ? n % orders : n;
  return {
    id: number.toString(16).padStart(16, '0'),
    customer: (number + 2 ** 40).toString(16).padStart(16, '0'),
    items: Array.from({ length: items }, (_, i) => [skus[(number * items + i) % skus.length], 1]),
  };
}

/** One connection with a queue. The id of the job makes it idempotent. */
class BullMq {
  constructor(connection, options) {
    Object.assign(this, { connection, options });
    this.queue = new Queue(QUEUE, { connection });
  }

  ready() {
    return this.queue.waitUntilReady();
  }

  place(numbers) {
    const jobs = numbers.map((n) => this.job(n));
    return jobs.length === 1 ? this.queue.add(jobs[0].name, jobs[0].data, jobs[0].opts) : this.queue.addBulk(jobs);
  }

  job(n) {
    const { id, customer, items } = order(n, this.options);
    return { name: 'order', data: { order: id, customer, items }, opts: { jobId: `o-${id}`, removeOnComplete: true } };
  }

  async close() {
    await this.queue.close();
    this.connection.disconnect();
  }
}

/** One connection that places orders in a store. */
class Holdfast {
  constructor(connection, options) {
    Object.assign(this, { connection, options });
  }

  ready() {
    return this.connection.ping();
  }

  async place(numbers) {
    const pipeline = this.connection.pipeline();
    numbers.forEach((n) => pipeline.call(...this.command(n)));
    for (const [error] of await pipeline.exec()) {
      const isRefused = error?.message.startsWith('OUTOFSTOCK') ?? false;
      if (isRefused !== this.options.refused) throw error ?? new Error('an order was to be refused, it was taken');
      if (error && !isRefused) throw error;
    }
  }

  command(n) {
    const { id, customer, items } = order(n, this.options);
    return ['ORDER.PLACE', STORE, id, customer, 'ITEMS', ...items.flat()];
  }

  async close() {
    this.connection.disconnect();
  }
}

const FLOWS = { bullmq: BullMq, holdfast: Holdfast };
let clients = [];
let pipeline = 1;

/** Each client places orders until the time is over or there are no more, and waits for each pipeline. */
async function run({ first, most, ms }) {
  const start = performance.now();
  const counts = new Map();
  let next = first;
  let orders = 0;
  const work = async (client) => {
    while (next < first + most) {
      const sent = performance.now();
      if (sent - start >= ms) return;
      const count = Math.min(pipeline, first + most - next);
      const numbers = Array.from({ length: count }, (_, i) => next + i);
      next += count;
      await client.place(numbers);
      const us = Math.round((performance.now() - sent) * 1000);
      counts.set(us, (counts.get(us) ?? 0) + count);
      orders += count;
    }
  };
  await Promise.all(clients.map(work));
  return { orders, next, seconds: (performance.now() - start) / 1000, latencies_us: [...counts] };
}

const HANDLERS = {
  async prepare(request) {
    const { flow, port, connections } = request;
    pipeline = request.pipeline;
    const redis = () => new Redis({ ...CONNECTION, port });
    clients = Array.from({ length: connections }, () => new FLOWS[flow](redis(), request));
    await Promise.all(clients.map((client) => client.ready()));
    return { ready: true };
  },

  run,

  async close() {
    await Promise.all(clients.map((client) => client.close()));
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
