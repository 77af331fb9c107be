// A worker as a program of its own, which a test stops or kills: crew.js URL STORE NAME LEASE_MS HANDLER.

import { setTimeout as pause } from "node:timers/promises";

import { Worker } from "holdfast-client";
import { createClient } from "redis";

const [url, store, name, leaseMs, how] = process.argv.slice(2);
const redis = await createClient({ url }).on("error", console.error).connect();
const handler = async (job) => {
  console.log(job.order);
  await pause(how === "hangs" ? 3_600_000 : 1_000, null, { ref: false });
  return { by: "crew.js" };
};
const worker = new Worker(redis, store, handler, {
  name,
  leaseMs: Number(leaseMs),
  stopWithinMs: 2_000,
  blockMs: 200,
});
await worker.run();
redis.destroy();
console.log("ended");
