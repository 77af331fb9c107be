/** Every command as a method: ORDER.PLACE is `orderPlace`, its arguments in the order of the command. */

import { refusal, TimeOut } from "./errors.js";
import type {
  ClaimedOrder,
  Completion,
  Difference,
  Failure,
  Hold,
  Info,
  Items,
  Lane,
  LockState,
  Order,
  Page,
  Redis,
  RedisClient,
  RedisSentinel,
  Settings,
  Sku,
} from "./types.js";
import * as wire from "./wire.js";

/** A round of a call that waits, on the server; the client goes on with the next one. */
const LONGEST_ROUND_MS = 5_000;
/** A call that waits gives up this long after the server should have answered. */
const SILENCE_MS = 5_000;
/** A call that waits takes this part of the time after which node-redis closes a socket that is silent. */
const PART_OF_TIMEOUT = 0.5;
/** A call that came while its store's keys are on two nodes is sent again after this time, until it was that long. */
const AGAIN_MS = 20;
const AGAIN_WITHIN_MS = 1_000;
/** How many elements an iterator has the server look at for one page. It takes the server well under a millisecond. */
const PAGE = 1_000;
/** node-redis's numbers of the protocol's types (RESP_TYPES): it may round integers, and texts may be other bytes. */
const AS_THEY_ARE = { typeMapping: { 36: Buffer, 58: String } };

/**
 * A sentinel's connection that nothing else uses: one to the primary, and nothing is sent again when it breaks. The
 * second claim would get another order, and nobody would know of the first.
 */
const ONE_OF_SENTINEL = { masterPoolSize: 1, replicaPoolSize: 0, maxCommandRediscovers: 0 };

/** Options that may be undefined. */
type Given<T> = { [name in keyof T]: T[name] | undefined };

/** Which SKUs, holds and orders; `count` are looked at for a page. */
type WhichSkus = Given<{ match?: string; count?: number; low?: boolean }>;
type WhichHolds = Given<{ customer?: string; count?: number }>;
type WhichOrders = Given<{
  state?: Order["state"];
  customer?: string;
  lane?: string;
  late?: boolean;
  count?: number;
}>;

/** Options of a client. */
export interface Options {
  /** How long a call that waits is silent beyond its wait before its connection is given up. */
  silenceMs?: number;
}

/**
 * Holdfast's commands over a client, a cluster or a sentinel of node-redis, with its options as they are.
 *
 *     const redis = await createClient().on("error", console.error).connect();
 *     const shop = new Holdfast(redis);
 *     await shop.invSet("popup", "mug", 100);
 *     await shop.orderPlace("popup", "o-1", "alice", { items: { mug: 2 } });
 *
 * Calls that wait (a claim, a lock) have connections of their own, and wait in rounds. If a reply does not come in
 * time, the connection is closed, so that the server hands nothing to it.
 */
export class Holdfast {
  readonly silenceMs: number;
  readonly #redis: Redis;
  #idle: Redis[] = [];
  readonly #waiting = new Set<Redis>();
  #isClosed = false;

  constructor(redis: Redis, options: Options = {}) {
    if (typeof (redis as Partial<Redis> | undefined)?.sendCommand !== "function")
      throw new TypeError(`redis must be a client, a cluster or a sentinel of node-redis, got ${String(redis)}`);
    const { silenceMs, ...others } = options;
    wire.noneOf(others);
    this.#redis = redis;
    this.silenceMs = silenceMs ?? SILENCE_MS;
  }

  /**
   * Closes the connections that this client made itself; calls that wait are rejected. Without it the program goes on
   * after a call that waited. The connection that it was given is its owner's.
   */
  close(): void {
    this.#isClosed = true;
    for (const own of [...this.#idle.splice(0), ...this.#waiting]) void own.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // Stores.

  /** Sets settings of a store, and creates it. */
  async storeSet(key: string, settings: Partial<Settings>): Promise<void> {
    return this.#run(wire.done, ["STORE.SET", key, ...wire.settingsOf(settings)]);
  }

  /** Returns settings of a store, or those that are named. */
  async storeGet(key: string, ...fields: (keyof Settings)[]): Promise<Partial<Settings>> {
    return this.#run(wire.settings, ["STORE.GET", key, ...fields.map(wire.fieldName)]);
  }

  /** Returns counters and gauges of a store: `(await storeInfo("popup")).inWork`. */
  async storeInfo(key: string): Promise<Info> {
    return this.#run(wire.numbersBut<Info>(), ["STORE.INFO", key]);
  }

  /** Lists the lanes of a store: how many orders wait in each, are worked on and are retried. */
  async storeLanes(key: string): Promise<Lane[]> {
    return this.#run(wire.each(wire.numbersBut<Lane>("lane")), ["STORE.LANES", key]);
  }

  /** Recounts the store and lists what differs: nothing when the books balance. */
  async storeAudit(key: string): Promise<Difference[]> {
    return this.#run(wire.each(wire.numbersBut<Difference>("what", "id")), ["STORE.AUDIT", key]);
  }

  /** Repairs the streams of orders, retries and dead letters; how many entries it wrote or removed. */
  async storeRepair(key: string): Promise<number> {
    return this.#run(wire.asNumber, ["STORE.REPAIR", key]);
  }

  /** Deletes a store and its streams. */
  async storeDrop(key: string): Promise<void> {
    return this.#run(wire.done, ["STORE.DROP", key]);
  }

  // Stock.

  /** Sets the absolute count of a SKU, creates store and SKU; the units available. */
  async invSet(
    key: string,
    sku: string,
    onHand: number,
    options: Given<{ safety?: number; low?: number; limit?: number; backlog?: number }> = {},
  ): Promise<number> {
    const { safety, low, limit, backlog, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("SAFETY", safety), ...wire.opt("LOW", low), ...wire.opt("LIMIT", limit)];
    const args = ["INV.SET", key, sku, wire.text(onHand), ...words, ...wire.opt("BACKLOG", backlog)];
    return this.#run(wire.asNumber, args);
  }

  /** Adds units or removes some; the new on-hand count. The same `ref` counts once. */
  async invAdjust(
    key: string,
    sku: string,
    delta: number,
    options: Given<{ reason?: string; ref?: string }> = {},
  ): Promise<number> {
    const { reason, ref, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("REASON", reason), ...wire.someRef(ref)];
    return this.#run(wire.asNumber, ["INV.ADJUST", key, sku, wire.text(delta), ...words]);
  }

  /** Returns the counts of SKUs; null for one that is unknown. */
  async invGet(key: string, ...skus: string[]): Promise<(Sku | null)[]> {
    return this.#run(wire.each(wire.skuOrNull), ["INV.GET", key, ...skus]);
  }

  /** Returns a page of the SKUs. See `invScanIterator`. */
  async invScan(key: string, cursor: string | number = 0, options: WhichSkus = {}): Promise<Page> {
    const { match, count, low, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("MATCH", match), ...wire.opt("COUNT", count), ...wire.flag("LOW", low)];
    return this.#run(wire.page, ["INV.SCAN", key, wire.text(cursor), ...words]);
  }

  /** Iterates over the SKUs; see `orderScanIterator`. */
  invScanIterator(key: string, options: WhichSkus = {}): AsyncGenerator<string, void, undefined> {
    return eachId(options, (cursor, paged) => this.invScan(key, cursor, paged));
  }

  /** Applies counts of a numbered feed, each number once. */
  async invSync(key: string, source: string, seq: number, items: Items): Promise<"APPLIED" | "DUPLICATE"> {
    const read = wire.asText as (reply: unknown) => "APPLIED" | "DUPLICATE";
    return this.#run(read, ["INV.SYNC", key, source, wire.text(seq), ...wire.items(items)]);
  }

  // Holds.

  /** Holds units until a deadline, all items or none; when it expires. */
  async invReserve(
    key: string,
    hold: string,
    items: Items,
    options: Given<{ customer?: string; ttlMs?: number; replace?: boolean }> = {},
  ): Promise<number> {
    const { customer, ttlMs, replace, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("CUSTOMER", customer), ...wire.opt("TTL", ttlMs), ...wire.flag("REPLACE", replace)];
    return this.#run(wire.asNumber, ["INV.RESERVE", key, hold, ...words, ...wire.items(items)]);
  }

  /** Moves a hold's deadline to this many milliseconds from now; when it expires. */
  async invExtend(key: string, hold: string, ms: number): Promise<number> {
    return this.#run(wire.asNumber, ["INV.EXTEND", key, hold, wire.text(ms)]);
  }

  /** Sells a hold's units, or some of them; the units left. The same `ref` counts once. */
  async invCommit(
    key: string,
    hold: string,
    options: Given<{ items?: Items; ref?: string }> = {},
  ): Promise<number> {
    return this.#endHold("INV.COMMIT", key, hold, options);
  }

  /** Releases a hold's units, or some of them; the units left. The same `ref` counts once. */
  async invRelease(
    key: string,
    hold: string,
    options: Given<{ items?: Items; ref?: string }> = {},
  ): Promise<number> {
    return this.#endHold("INV.RELEASE", key, hold, options);
  }

  /** Ends a hold, or a part of it; the units left. */
  #endHold(
    command: string,
    key: string,
    hold: string,
    { items, ref, ...others }: Given<{ items?: Items; ref?: string }>,
  ): Promise<number> {
    wire.noneOf(others);
    return this.#run(wire.asNumber, [command, key, hold, ...wire.refOfPart(ref, items), ...wire.items(items)]);
  }

  /** Returns everything that is known about a hold. */
  async invHold(key: string, hold: string): Promise<Hold> {
    return this.#run(wire.hold, ["INV.HOLD", key, hold]);
  }

  /** Returns a page of the live holds. See `invHoldsIterator`. */
  async invHolds(key: string, cursor: string | number = 0, options: WhichHolds = {}): Promise<Page> {
    const { customer, count, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("CUSTOMER", customer), ...wire.opt("COUNT", count)];
    return this.#run(wire.page, ["INV.HOLDS", key, wire.text(cursor), ...words]);
  }

  /** Iterates over the ids of the live holds; see `orderScanIterator`. */
  invHoldsIterator(key: string, options: WhichHolds = {}): AsyncGenerator<string, void, undefined> {
    return eachId(options, (cursor, paged) => this.invHolds(key, cursor, paged));
  }

  // Orders.

  /**
   * Places an order of `items`, or of a `hold`; the id of its stream entry, null while it waits or is gated.
   *
   * `data` is any JSON value; the names in it are sent in alphabetical order, whatever theirs is. `gates` are
   * milliseconds by gate; `wait` is true, or for how many milliseconds. Sent again with the same content it changes
   * nothing and returns the same.
   */
  async orderPlace(
    key: string,
    order: string,
    customer: string,
    options: ({ items: Items; hold?: undefined } | { hold: string; items?: undefined }) &
      Given<{ group?: string; lane?: string; data?: unknown; gates?: Items; wait?: boolean | number }>,
  ): Promise<string | null> {
    const { items, hold, group, lane, data, gates = {}, wait = false, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("GROUP", group), ...wire.opt("LANE", lane), ...wire.data(data)];
    const gated = wire.pairs("gates", gates).flatMap(([gate, ms]) => ["GATE", gate, wire.text(ms)]);
    const waits = wait === false ? [] : wait === true ? ["WAIT"] : ["WAIT", wire.text(wait)];
    const units = [...wire.items(items), ...wire.opt("HOLD", hold)];
    return this.#run(wire.asTextOrNull, ["ORDER.PLACE", key, order, customer, ...words, ...gated, ...waits, ...units]);
  }

  /**
   * Gives orders to a worker under a lease. `blockMs` 0 waits without limit, on a connection of its own. See `Worker`
   * for the whole loop.
   */
  async orderClaim(
    key: string,
    worker: string,
    options: Given<{
      count?: number;
      leaseMs?: number;
      lanes?: readonly string[];
      order?: string;
      blockMs?: number;
    }> = {},
  ): Promise<ClaimedOrder[]> {
    const { count, leaseMs, lanes, order, blockMs, ...others } = options;
    wire.noneOf(others);
    const leased = [...wire.opt("COUNT", count), ...wire.opt("LEASE", leaseMs)];
    const words = [...leased, ...wire.lanesOf(lanes), ...wire.opt("ORDER", order)];
    const nothing = (orders: ClaimedOrder[]) => orders.length === 0;
    return this.#wait(wire.each(wire.claimed), nothing, "BLOCK", blockMs, ["ORDER.CLAIM", key, worker, ...words]);
  }

  /** Completes an order; with `claim` (a worker) claims the next one. `result` is any JSON value. */
  async orderComplete(
    key: string,
    order: string,
    options: Given<{ token?: number; result?: unknown; claim?: string; leaseMs?: number }> = {},
  ): Promise<Completion> {
    const { token, result, claim, leaseMs, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("TOKEN", token), ...wire.json("RESULT", result), ...wire.opt("CLAIM", claim)];
    return this.#run(wire.completion, ["ORDER.COMPLETE", key, order, ...words, ...wire.opt("LEASE", leaseMs)]);
  }

  /** Reports a failed attempt: the order is retried, or is dead after its last attempt or with `fatal`. */
  async orderFail(
    key: string,
    order: string,
    options: Given<{ token?: number; reason?: string; afterMs?: number; fatal?: boolean }> = {},
  ): Promise<Failure> {
    const { token, reason, afterMs, fatal, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("TOKEN", token), ...wire.opt("REASON", reason), ...wire.opt("AFTER", afterMs)];
    const args = ["ORDER.FAIL", key, order, ...words, ...wire.flag("FATAL", fatal)];
    return this.#run(wire.numbersBut<Failure>("state"), args);
  }

  /** Extends the lease of a claimed order; when it expires. */
  async orderRenew(
    key: string,
    order: string,
    token: number,
    options: Given<{ leaseMs?: number }> = {},
  ): Promise<number> {
    const { leaseMs, ...others } = options;
    wire.noneOf(others);
    const words = ["TOKEN", wire.text(token), ...wire.opt("LEASE", leaseMs)];
    return this.#run(wire.asNumber, ["ORDER.RENEW", key, order, ...words]);
  }

  /** Gives all orders of a worker back, without counting an attempt; how many. */
  async orderYield(key: string, worker: string): Promise<number> {
    return this.#run(wire.asNumber, ["ORDER.YIELD", key, worker]);
  }

  /** Puts a gate on an order that no worker has, or moves its deadline; the deadline (0: no end). */
  async orderGate(key: string, order: string, gate: string, ms: number): Promise<number> {
    return this.#run(wire.asNumber, ["ORDER.GATE", key, order, gate, wire.text(ms)]);
  }

  /** Passes a gate; how many gates are left. */
  async orderPass(key: string, order: string, gate: string): Promise<number> {
    return this.#run(wire.asNumber, ["ORDER.PASS", key, order, gate]);
  }

  /** Sets the fulfilment step; its version. */
  async orderAdvance(
    key: string,
    order: string,
    step: string,
    options: Given<{ from?: string; token?: number }> = {},
  ): Promise<number> {
    const { from, token, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("FROM", from), ...wire.opt("TOKEN", token)];
    return this.#run(wire.asNumber, ["ORDER.ADVANCE", key, order, step, ...words]);
  }

  /** Gives an open order exactly these items; its units. `lost`: what it gives up is written off. */
  async orderEdit(
    key: string,
    order: string,
    items: Items,
    options: Given<{ token?: number; ref?: string; lost?: boolean }> = {},
  ): Promise<number> {
    const { token, ref, lost, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("TOKEN", token), ...wire.someRef(ref), ...wire.flag("LOST", lost)];
    return this.#run(wire.asNumber, ["ORDER.EDIT", key, order, ...words, ...wire.items(items)]);
  }

  /** Moves units into an order of their own; the id of its stream entry, null while it waits. */
  async orderSplit(
    key: string,
    order: string,
    newOrder: string,
    items: Items,
    options: Given<{ token?: number; lane?: string }> = {},
  ): Promise<string | null> {
    const { token, lane, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("TOKEN", token), ...wire.opt("LANE", lane)];
    return this.#run(wire.asTextOrNull, ["ORDER.SPLIT", key, order, newOrder, ...words, ...wire.items(items)]);
  }

  /** Cancels an open or dead order; the units put back. */
  async orderCancel(key: string, order: string, options: Given<{ reason?: string }> = {}): Promise<number> {
    const { reason, ...others } = options;
    wire.noneOf(others);
    return this.#run(wire.asNumber, ["ORDER.CANCEL", key, order, ...wire.opt("REASON", reason)]);
  }

  /** Returns units of a completed order; how many. The same `ref` counts once. */
  async orderReturn(
    key: string,
    order: string,
    items: Items,
    options: Given<{ customer?: string; ref?: string; scrap?: boolean }> = {},
  ): Promise<number> {
    const { customer, ref, scrap, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("CUSTOMER", customer), ...wire.someRef(ref), ...wire.flag("SCRAP", scrap)];
    return this.#run(wire.asNumber, ["ORDER.RETURN", key, order, ...words, ...wire.items(items)]);
  }

  /** Queues a dead order again; without `order` all of them, or those whose reason matches. How many were queued. */
  async orderRedrive(
    key: string,
    which: { order: string } | { reason?: string; count?: number } = {},
  ): Promise<number> {
    if ("order" in which) {
      const { order, ...others } = which;
      wire.noneOf(others);
      return this.#run(wire.asNumber, ["ORDER.REDRIVE", key, order]);
    }
    const { reason, count, ...others } = which;
    wire.noneOf(others);
    const words = [...wire.opt("REASON", reason), ...wire.opt("COUNT", count)];
    return this.#run(wire.asNumber, ["ORDER.REDRIVE", key, "ALL", ...words]);
  }

  /** Cancels dead orders, all of them or those whose reason matches; how many. */
  async orderPurge(
    key: string,
    options: Given<{ reason?: string; count?: number }> = {},
  ): Promise<number> {
    const { reason, count, ...others } = options;
    wire.noneOf(others);
    const words = [...wire.opt("REASON", reason), ...wire.opt("COUNT", count)];
    return this.#run(wire.asNumber, ["ORDER.PURGE", key, ...words]);
  }

  /** Returns everything that is known about an order, with its history. */
  async orderGet(key: string, order: string): Promise<Order> {
    return this.#run(wire.order, ["ORDER.GET", key, order]);
  }

  /** Returns a page of the orders. See `orderScanIterator`. */
  async orderScan(key: string, cursor: string | number = 0, options: WhichOrders = {}): Promise<Page> {
    const { state, customer, lane, late, count, ...others } = options;
    wire.noneOf(others);
    const orders = [...wire.opt("STATE", state), ...wire.opt("CUSTOMER", customer), ...wire.opt("LANE", lane)];
    const words = [...orders, ...wire.flag("LATE", late)];
    return this.#run(wire.page, ["ORDER.SCAN", key, wire.text(cursor), ...words, ...wire.opt("COUNT", count)]);
  }

  /**
   * Iterates over the ids of the orders, one by one. Asks for a page when it is needed; `count` are looked at for one,
   * 1000 if it is not said.
   *
   * An order that is there all the time comes once, as it was when its page was made. One that comes, goes or changes
   * meanwhile may come or not. After a restart, a failover or a move of the store to another node begin anew: some may
   * come twice or never.
   */
  orderScanIterator(key: string, options: WhichOrders = {}): AsyncGenerator<string, void, undefined> {
    return eachId(options, (cursor, paged) => this.orderScan(key, cursor, paged));
  }

  // Locks.

  /** Acquires a lock, or waits for it (0: without limit); its token, or null. */
  async lockAcquire(
    key: string,
    owner: string,
    ttlMs: number,
    options: Given<{ waitMs?: number }> = {},
  ): Promise<number | null> {
    const { waitMs, ...others } = options;
    wire.noneOf(others);
    const nothing = (token: number | null) => token === null;
    const args = ["LOCK.ACQUIRE", key, owner, wire.text(ttlMs)];
    return this.#wait(wire.numberOrNull, nothing, "WAIT", waitMs, args);
  }

  /** Restarts the lease of a lock; false if it is not held under this token any more. */
  async lockRenew(key: string, token: number, ttlMs: number): Promise<boolean> {
    return this.#run(wire.asTruth, ["LOCK.RENEW", key, wire.text(token), wire.text(ttlMs)]);
  }

  /** Releases a lock; false if it is not held under this token any more. */
  async lockRelease(key: string, token: number): Promise<boolean> {
    return this.#run(wire.asTruth, ["LOCK.RELEASE", key, wire.text(token)]);
  }

  /** Shows who owns a lock, and how many wait for it. */
  async lockGet(key: string): Promise<LockState> {
    return this.#run(wire.numbersBut<LockState>("owner"), ["LOCK.GET", key]);
  }

  // The way to the server.

  async #run<T>(read: (reply: unknown) => T, args: string[]): Promise<T> {
    return read(await sent(this.#redis, args));
  }

  /** Sends a call that waits, in rounds, on a connection of its own. */
  async #wait<T>(
    read: (reply: unknown) => T,
    isNothing: (found: T) => boolean,
    word: string,
    waitMs: number | undefined,
    args: string[],
  ): Promise<T> {
    // A client rejects a call whose connection breaks, a sentinel sends it again.
    if (waitMs === undefined && isSentinel(this.#redis)) return read(await this.#alone(args, 0));
    if (waitMs === undefined) return this.#run(read, args);
    if (!Number.isSafeInteger(waitMs) || waitMs < 0)
      throw new RangeError(`a wait must be an integer from 0, milliseconds, got ${String(waitMs)}`);
    const end = Date.now() + waitMs;
    for (;;) {
      const leftMs = waitMs === 0 ? Infinity : Math.max(1, end - Date.now());
      const roundMs = Math.min(leftMs, this.#longestRoundMs());
      const found = read(await this.#alone([...args, word, wire.text(roundMs)], roundMs));
      if (!isNothing(found) || (waitMs > 0 && Date.now() >= end)) return found;
    }
  }

  #longestRoundMs(): number {
    const { socketTimeout } = ((this.#redis as RedisClient).options?.socket ?? {}) as { socketTimeout?: number };
    return Math.min(LONGEST_ROUND_MS, Math.floor((socketTimeout ?? Infinity) * PART_OF_TIMEOUT));
  }

  /** Sends a call on a connection that nothing else uses, and closes that unless the reply came. */
  async #alone(args: string[], roundMs: number): Promise<unknown> {
    if (this.#isClosed) throw new Error("this client is closed");
    const own = this.#idle.pop() ?? this.#another();
    this.#waiting.add(own);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const ms = roundMs + this.silenceMs;
      timer = setTimeout(() => reject(new TimeOut(`no reply to ${args[0]} within ${ms} ms`)), ms);
    });
    try {
      const reply = await Promise.race([this.#connected(own).then(() => sent(own, args)), late]);
      if (this.#isClosed) void own.destroy();
      else this.#idle.push(own);
      return reply;
    } catch (error) {
      void own.destroy();
      throw error;
    } finally {
      this.#waiting.delete(own);
      clearTimeout(timer);
    }
  }

  #ready = new WeakMap<object, Promise<unknown>>();

  #another(): Redis {
    const redis = this.#redis;
    if (typeof (redis as Partial<Redis>).duplicate !== "function")
      throw new TypeError("a call that waits needs a client, a cluster or a sentinel of node-redis; a pool is none");
    const own = isSentinel(redis) ? redis.duplicate(ONE_OF_SENTINEL) : redis.duplicate();
    // Each call gets its own error; nobody listens for those of the connection.
    own.on("error", () => undefined);
    return own;
  }

  #connected(own: Redis): Promise<unknown> {
    let ready = this.#ready.get(own);
    if (!ready) this.#ready.set(own, (ready = own.connect()));
    return ready;
  }
}

/** The ids of all pages. */
async function* eachId<T extends { count?: number | undefined }>(
  options: T,
  page: (cursor: string, options: T) => Promise<Page>,
): AsyncGenerator<string, void, undefined> {
  let cursor = "0";
  do {
    const found = await page(cursor, { ...options, count: options.count ?? PAGE });
    yield* found.ids;
    cursor = found.cursor;
  } while (cursor !== "0");
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && error.message.startsWith(`${code} `);

const isSentinel = (redis: Redis): redis is RedisSentinel => "getMasterNode" in redis;

async function sent(redis: Redis, args: string[]): Promise<unknown> {
  const end = Date.now() + AGAIN_WITHIN_MS;
  const words = args.map(wire.encoded);
  for (;;) {
    try {
      return wire.texts(await sentOnce(redis, words));
    } catch (error) {
      if (isCode(error, "READONLY")) await leave(redis);
      // node-redis follows MOVED and ASK, and leaves this one to its caller.
      if (!isCode(error, "TRYAGAIN") || Date.now() >= end) throw refusal(error);
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

function sentOnce(redis: Redis, words: (string | Buffer)[]): Promise<unknown> {
  if (isSentinel(redis)) return redis.sendCommand(false, words, AS_THEY_ARE);
  if ("slots" in redis) return redis.sendCommand(words[1], false, words, AS_THEY_ARE);
  return redis.sendCommand(words, AS_THEY_ARE);
}

/** Clients whose server is told to close their connection. */
const leaving = new WeakSet<Redis>();

/**
 * Has the server close a client's connection, for it is no primary any more and would go on refusing. The client
 * makes another by itself, and its address may lead to another server by now. A sentinel and a cluster see to that
 * themselves.
 */
async function leave(redis: Redis): Promise<void> {
  if (isSentinel(redis) || "slots" in redis || leaving.has(redis)) return;
  leaving.add(redis);
  await redis.sendCommand(["QUIT"]).catch(() => undefined);
  leaving.delete(redis);
}
