/** Client for Holdfast, the Redis module for a shop's busiest minute, on node-redis. */

export { Holdfast, type Options } from "./client.js";
export * as errors from "./errors.js";
export { HoldfastError } from "./errors.js";
export { contextOf, traced, type TraceContext } from "./trace.js";
export type * from "./types.js";
export { Fatal, type Job, Retry, Worker, type WorkerOptions } from "./worker.js";
