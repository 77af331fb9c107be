// What node-redis makes is what a client of Holdfast takes: this file has to compile.

import { createClient, createCluster } from "redis";

import { Holdfast, Worker } from "holdfast-client";

for (const redis of [createClient(), createCluster({ rootNodes: [] })]) {
  new Holdfast(redis);
  new Worker(redis, "popup", () => null);
}
