// A program that waits for an order, or has waited, and closes what it has: ending.js URL STORE HOW

import { Holdfast } from "holdfast-client";
import { createClient } from "redis";

const [url, store, how] = process.argv.slice(2);
const redis = await createClient({ url }).connect();
const shop = new Holdfast(redis);
const blockMs = how === "waits" ? 0 : 1;
const claim = shop.orderClaim(store, "w", { blockMs }).catch((error) => `rejected: ${error.message}`);
if (how === "waits") while (!/blocked_clients:1\b/.test(await redis.info("clients")));
else await claim;
shop.close();
redis.destroy();
const found = await claim;
console.log(typeof found === "string" ? found : JSON.stringify(found));
