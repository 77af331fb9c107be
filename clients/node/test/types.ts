// What node-redis makes is what a client of Holdfast takes: this file has to compile.

import { createClient, createCluster, createSentinel } from "redis";

import { Holdfast, Worker } from "holdfast-client";

const sentinel = createSentinel({ name: "shop", sentinelRootNodes: [] });
for (const redis of [createClient(), createCluster({ rootNodes: [] }), sentinel]) {
  const shop = new Holdfast(redis);
  for await (const order of shop.orderScanIterator("popup", { state: "dead" })) order.length;
  (await shop.storeInfo("popup")).inWork.toFixed();
  // @ts-expect-error: a counter that is misspelt is no number.
  (await shop.storeInfo("popup")).inwork.toFixed();
  new Worker(redis, "popup", () => null);
}
