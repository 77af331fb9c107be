/** The loop that works on orders. */

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as after } from "node:timers/promises";

import { Holdfast } from "./client.js";
import { BadArgument, HoldfastError, isPassing, NoStore } from "./errors.js";
import { inSpan } from "./trace.js";
import type { ClaimedOrder, Completion, Failure, Redis } from "./types.js";
import { lanesOf, noneOf } from "./wire.js";

/** A round of ORDER.CLAIM waits this long at most, so that a worker that is to stop does so soon. */
const BLOCK_MS = 2_000;
/** More of a reason is not sent; a store keeps 200 bytes. */
const REASON_MAX = 1_000;
/** A lease is renewed when this part of it is over. */
const RENEWED_AT = 1 / 3;
/** What a connection that broke may take until the server sees that, beyond the time its call waits. */
const SETTLING_MS = 1_000;
/** How soon a server sees that a connection is closed. */
const CLOSING_MS = 50;
/** Why handlers that still run are aborted at the end. */
const STOPS = new Error("the worker stops");
/** After the stop, what is in hand is given back within this time, or its lease has to end. */
const GIVEN_BACK_WITHIN_MS = 2_000;
/** Waits between attempts to reach the server: they double from the first to the longest, half of it random. */
const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;

/** Thrown by a handler: the order is to be tried again, after so many milliseconds if they are given. */
export class Retry extends Error {
  override name = "Retry";

  constructor(
    reason: string,
    readonly options: { afterMs?: number } = {},
  ) {
    super(reason);
    if (typeof options !== "object") throw new TypeError(`options must be an object, got ${String(options)}`);
    const { afterMs, ...others } = options;
    noneOf(others);
    if (afterMs === undefined) return;
    this.options = { afterMs: Math.round(afterMs) };
    if (!Number.isSafeInteger(this.options.afterMs) || afterMs < 0)
      throw new RangeError(`afterMs must be a number from 0, got ${String(afterMs)}`);
  }
}

/** Thrown by a handler: no attempt will succeed, the order is dead at once. */
export class Fatal extends Error {
  override name = "Fatal";
}

/** An order in the hands of a handler. `signal` is aborted when its lease is lost or given back. */
export interface Job extends ClaimedOrder {
  readonly signal: AbortSignal;
}

/** Options of a worker. */
export interface WorkerOptions {
  /** Has to belong to this worker alone; made up by default. With `concurrency` n they claim as `name`, `name.2` … */
  name?: string | undefined;
  /** The lanes that it serves, the dearest first; all by default. */
  lanes?: readonly string[] | undefined;
  /** How long a lease lasts until it is renewed or lost, milliseconds: 30,000 by default, whatever the store's is. */
  leaseMs?: number | undefined;
  /** How many handlers run at a time: 1 by default. */
  concurrency?: number | undefined;
  /** How long one claim waits on the server: 2,000 by default, and at most. */
  blockMs?: number | undefined;
  /** How long handlers may go on after the stop, until what they have is given back: 25,000 by default. */
  stopWithinMs?: number | undefined;
  /** After how long without a reply a claim's connection is given up: 5,000 by default. */
  silenceMs?: number | undefined;
  /** Where warnings go: `console.warn` by default. */
  log?: ((message: string) => void) | undefined;
}

/**
 * Claims orders of a store and hands each to `handler(job)`.
 *
 * What the handler returns becomes the order's result (any JSON value); what it throws is a failed attempt with its
 * message as the reason; see `Retry` and `Fatal`. While it runs, the lease is renewed. Claims have connections of their
 * own, which are made anew, with growing waits, when they break; orders that were handed out to a broken connection go
 * back to the queue at once. SIGTERM and SIGINT end it gracefully: handlers may finish, then what is left is given back
 * with ORDER.YIELD.
 */
export class Worker {
  readonly shop: Holdfast;
  readonly name: string;
  readonly #names: string[];
  readonly #options: ReturnType<typeof withDefaults>;
  readonly #stopping = new AbortController();
  /** Aborts the handlers that run. */
  readonly #running = new Set<AbortController>();

  constructor(
    redis: Redis,
    readonly store: string,
    readonly handler: (job: Job) => unknown,
    options: WorkerOptions = {},
  ) {
    if (typeof handler !== "function") throw new TypeError(`the handler must be a function, got ${String(handler)}`);
    this.#options = withDefaults(options);
    const { name, concurrency, silenceMs } = this.#options;
    this.shop = new Holdfast(redis, { silenceMs });
    this.name = name;
    this.#names = Array.from({ length: concurrency }, (_, at) => (at ? `${name}.${at + 1}` : name));
  }

  /** Ends `run` gracefully. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Works until `stop` is called or one of the signals comes. Rejects with what no attempt would mend. */
  async run({ signals = ["SIGTERM", "SIGINT"] }: { signals?: NodeJS.Signals[] } = {}): Promise<void> {
    const stop = () => this.stop();
    for (const signal of signals) process.once(signal, stop);
    // Claims that wait end at once; what they may have been handed is given back at the end.
    this.#stopping.signal.addEventListener("abort", () => this.shop.close(), { once: true });
    try {
      const loops = this.#names.map((name) => this.#loop(name));
      const all = Promise.all(loops).catch((error: unknown) => {
        this.stop();
        throw error;
      });
      await Promise.race([all, stopped(this.#stopping.signal)]);
      await Promise.race([all, pause(this.#options.stopWithinMs)]);
    } finally {
      await this.#giveBack();
      this.shop.close();
      for (const signal of signals) process.removeListener(signal, stop);
    }
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  async #loop(name: string): Promise<void> {
    const { lanes, leaseMs, blockMs, log } = this.#options;
    const waits = new Waits();
    let doubtfulUntil = 0;
    while (!this.#isStopping) {
      let orders: ClaimedOrder[];
      try {
        if (doubtfulUntil) {
          // Nothing is in hand now: what the server thinks this worker has was lost on the way.
          const now = Date.now();
          await this.shop.orderYield(this.store, name);
          if (now >= doubtfulUntil) doubtfulUntil = 0;
        }
        orders = await this.shop.orderClaim(this.store, name, { leaseMs, blockMs, ...(lanes ? { lanes } : {}) });
      } catch (error) {
        if (this.#isStopping) return;
        if (!isPassing(error) && !(error instanceof NoStore)) throw error;
        doubtfulUntil = Date.now() + blockMs + SETTLING_MS;
        const ms = waits.next();
        log(`${this.store}: ${reasonOf(error)}; trying again in ${Math.round(ms)} ms`);
        await pause(ms, this.#stopping.signal);
        continue;
      }
      waits.startAnew();
      const [order] = orders;
      const report = order && !this.#isStopping && (await this.#outcome(order));
      if (report) await this.#report(order, report);
    }
  }

  /** Runs the handler; what to send about it then. Nothing, if it ended because the order was given back. */
  async #outcome(order: ClaimedOrder): Promise<Report | null> {
    const lost = new AbortController();
    this.#running.add(lost);
    const renewing = setInterval(() => void this.#renew(order, lost), this.#options.leaseMs * RENEWED_AT);
    lost.signal.addEventListener("abort", () => clearInterval(renewing), { once: true });
    const { order: id, token } = order;
    try {
      const job: Job = { ...order, signal: lost.signal };
      const result = (await inSpan(this.store, order, async () => this.handler(job))) ?? null;
      if (JSON.stringify(result) === undefined) throw new Error("the handler's result has no JSON");
      return () => this.shop.orderComplete(this.store, id, { token, result });
    } catch (error) {
      return error === STOPS ? null : this.#failed(order, error);
    } finally {
      clearInterval(renewing);
      this.#running.delete(lost);
    }
  }

  /** Says what a handler threw, or how what it returned was refused. */
  #failed({ order, token, attempt }: ClaimedOrder, error: unknown): Report {
    const reason = reasonOf(error);
    if (!(error instanceof Retry) && !(error instanceof Fatal)) {
      const trace = inWords(() => (error instanceof Error && error.stack) || reason);
      this.#options.log(`the handler failed with order ${order}, attempt ${attempt}: ${trace}`);
    }
    const after = error instanceof Retry ? error.options : {};
    const failure = { token, reason, ...after, fatal: error instanceof Fatal };
    return () => this.shop.orderFail(this.store, order, failure);
  }

  async #renew(order: ClaimedOrder, lost: AbortController): Promise<void> {
    try {
      await this.shop.orderRenew(this.store, order.order, order.token, { leaseMs: this.#options.leaseMs });
    } catch (error) {
      const isLost = error instanceof HoldfastError && !isPassing(error);
      const what = isLost ? `the lease of order ${order.order} is lost` : `cannot renew order ${order.order} yet`;
      this.#options.log(`${what}: ${(error as Error).message}`);
      if (isLost) lost.abort(error);
    }
  }

  /** Sends the outcome until the server has it: the token makes that safe, whoever has the order by then. */
  async #report(order: ClaimedOrder, outcome: Report): Promise<void> {
    const waits = new Waits();
    let report = outcome;
    for (;;) {
      try {
        const reply = await report();
        if ("state" in reply && reply.state === "dead")
          this.#options.log(`order ${order.order} is dead after attempt ${reply.attempt}`);
        return;
      } catch (error) {
        if (error instanceof BadArgument && report === outcome) {
          // What the handler gave is refused, so the attempt failed.
          report = this.#failed(order, error);
        } else if (error instanceof HoldfastError && !isPassing(error)) {
          this.#options.log(`order ${order.order} of ${this.store} was not ours any more: ${error.message}`);
          return;
        } else if (isPassing(error)) {
          await pause(waits.next());
        } else {
          throw error;
        }
      }
    }
  }

  /** Gives back what is in hand, and what came with the stop. */
  async #giveBack(): Promise<void> {
    for (const running of this.#running) running.abort(STOPS);
    // Until the server has seen that the claims' connections are closed, it may hand something to them.
    await pause(CLOSING_MS);
    const end = Date.now() + GIVEN_BACK_WITHIN_MS;
    for (const name of this.#names) await this.#giveBackOf(name, end);
  }

  async #giveBackOf(name: string, end: number): Promise<void> {
    const waits = new Waits();
    // A client that has no connection keeps the call until it has one.
    const late = pause(Math.max(0, end - Date.now())).then(() => {
      throw new Error("the server does not answer");
    });
    late.catch(() => undefined);
    for (;;) {
      try {
        await Promise.race([this.shop.orderYield(this.store, name), late]);
        return;
      } catch (error) {
        if (!isPassing(error) || Date.now() >= end) {
          this.#options.log(`cannot give back the orders of ${name}, their leases will end: ${reasonOf(error)}`);
          return;
        }
        await pause(waits.next());
      }
    }
  }
}

/** Sends an outcome. */
type Report = () => Promise<Completion | Failure>;

/** What was thrown, in a few words. */
const reasonOf = (error: unknown): string =>
  inWords(() => (error instanceof Error ? error.message || error.name : String(error))).slice(0, REASON_MAX);

/** What is told of an error, whose class may have its own idea of that. */
function inWords(tell: () => string): string {
  try {
    return String(tell());
  } catch {
    return "an error without words";
  }
}

function atLeast1(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`${name} must be an integer from 1, got ${String(value)}`);
}

/** Waits that double, up to a bound, half of each random. */
class Waits {
  #nextMs = FIRST_WAIT_MS;

  startAnew(): void {
    this.#nextMs = FIRST_WAIT_MS;
  }

  next(): number {
    const ms = this.#nextMs * (0.5 + Math.random() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, LONGEST_WAIT_MS);
    return ms;
  }
}

/** Waits, or until the signal is aborted. */
const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  after(ms, undefined, { ref: false, ...(signal ? { signal } : {}) }).catch(() => undefined);

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function withDefaults(options: WorkerOptions) {
  const {
    name = uniqueName(),
    lanes,
    leaseMs = 30_000,
    concurrency = 1,
    blockMs = BLOCK_MS,
    stopWithinMs = 25_000,
    silenceMs,
    log = (message: string) => console.warn(`holdfast: ${message}`),
    ...others
  } = options;
  noneOf(others);
  lanesOf(lanes);
  for (const [what, value] of Object.entries({ leaseMs, concurrency, blockMs })) atLeast1(what, value);
  return { name, lanes, leaseMs, concurrency, blockMs: Math.min(blockMs, BLOCK_MS), stopWithinMs, silenceMs, log };
}

/** A name that no other worker has. */
const uniqueName = (): string => `${hostname()}-${process.pid}-${randomBytes(2).toString("hex")}`;
