// What node-redis makes is what a client of Holdfast takes: this file has to compile.

import { createClient, createCluster, createSentinel } from "redis";

import { Holdfast, Worker } from "holdfast-client";

const sentinel = createSentinel({ name: "shop", sentinelRootNodes: [] });
for (const redis of [createClient(), createCluster({ rootNodes: [] }), sentinel]) {
  new Holdfast(redis);
  new Worker(redis, "popup", () => null);
}
