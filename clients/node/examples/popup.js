// A pop-up shop: 20 mugs, 30 customers, two workers. node popup.js [redis://…]

import { errors, Holdfast, Retry, Worker } from "holdfast-client";
import { createClient } from "redis";

/** Each run has a store of its own. */
const STORE = `popup-${process.pid}`;
const MUGS = 20;
const CUSTOMERS = 30;

const redis = createClient({ url: process.argv[2] ?? "redis://127.0.0.1:6379" });
// node-redis wants a listener: without one, a connection that breaks would end the program.
redis.on("error", (error) => console.error(error.message));
await redis.connect();
const shop = new Holdfast(redis);

/** Two mugs a customer at most; a cart holds its units for ten minutes. */
async function openShop() {
  await shop.storeSet(STORE, { limit: 2, holdMs: 600_000 });
  await shop.invSet(STORE, "mug", MUGS);
}

/** A customer puts a mug into the cart and orders it. Each call can be sent again: the ids make it count once. */
async function visit(customer) {
  try {
    await shop.invReserve(STORE, `cart-${customer}`, { mug: 1 }, { customer });
    await shop.orderPlace(STORE, `o-${customer}`, customer, { hold: `cart-${customer}`, data: { gift: false } });
  } catch (error) {
    if (!(error instanceof errors.OutOfStock)) throw error;
    console.log(`${customer}: sold out (${error.available} left)`);
  }
}

/** What a worker does with an order. What it returns is kept; an error would be a failed attempt. */
async function pack(job) {
  if (job.attempt === 1 && job.order.endsWith("7")) throw new Retry("no box of that size", { afterMs: 10 });
  console.log(`packed ${job.order} for ${job.customer}: ${JSON.stringify(job.items)}`);
  return { parcel: `JD-${job.order}` };
}

await openShop();
// Two handlers at a time. A program of its own would only call `await worker.run()`, and end on SIGTERM.
const worker = new Worker(redis, STORE, pack, { concurrency: 2 });
const working = worker.run();
await Promise.all(Array.from({ length: CUSTOMERS }, (_, number) => visit(`c-${number}`)));
while ((await shop.storeInfo(STORE)).completed < MUGS) await new Promise((resolve) => setTimeout(resolve, 50));
worker.stop();
await working;
const [mug] = await shop.invGet(STORE, "mug");
redis.destroy();
console.log(`sold ${mug.sold} of ${MUGS}, left ${mug.available}`);
