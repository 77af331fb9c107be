/** What calls take and replies are made of. Times are Unix milliseconds; null stands for what is not set. */

/** Units by SKU. */
export type Items = Readonly<Record<string, number>> | Iterable<readonly [sku: string, qty: number]>;

/** Settings of a store (STORE.SET, STORE.GET). */
export interface Settings {
  opens: number;
  closes: number;
  limit: number;
  holdMs: number;
  leaseMs: number;
  attempts: number;
  backoffMs: number;
  backoffCapMs: number;
  keepMs: number;
  slaMs: number;
  history: number;
  journal: number;
  metrics: number;
  alerts: number;
  holdMaxMs: number;
  holdMaxUnits: number;
  paused: boolean;
}

/**
 * Counters and gauges of a store (STORE.INFO); docs/metrics.md says what each means. What a later server adds is there
 * too, under its name; what an earlier one does not have is not.
 */
export interface Info {
  placed: number;
  completed: number;
  cancelled: number;
  returned: number;
  failed: number;
  retried: number;
  dead: number;
  expired: number;
  claimed: number;
  unitsSold: number;
  lapsed: number;
  redriven: number;
  late: number;
  gatesExpired: number;
  waitlistExpired: number;
  refusedNosku: number;
  refusedNohold: number;
  refusedNoorder: number;
  refusedOutofstock: number;
  refusedLimit: number;
  refusedNotopen: number;
  refusedClosed: number;
  refusedExpired: number;
  refusedBadstate: number;
  refusedMismatch: number;
  refusedFenced: number;
  refusedGap: number;
  refusedErr: number;
  refusedNogate: number;
  skus: number;
  onHand: number;
  available: number;
  held: number;
  sold: number;
  oversold: number;
  queued: number;
  inWork: number;
  retrying: number;
  deadLetters: number;
  pending: number;
  waitlisted: number;
  overflow: number;
  holds: number;
  customers: number;
  workers: number;
  oldestWaitingMs: number;
  completedKept: number;
  cancelledKept: number;
  /** The next deadline; null: there is none. */
  nextDue: number | null;
  bytes: number;
}

/** A lane of a store (STORE.LANES). */
export interface Lane {
  lane: string;
  queued: number;
  inWork: number;
  retrying: number;
  oldestWaitingMs: number;
}

/** Something that does not agree with its recount (STORE.AUDIT). */
export interface Difference {
  what: string;
  id: string;
  books: number;
  recount: number;
}

/** Counts of a SKU (INV.GET). */
export interface Sku {
  onHand: number;
  held: number;
  safety: number;
  low: number;
  available: number;
  sold: number;
  limit: number;
  waiting: number;
  backlog: number | null;
}

/** The next cursor ("0" at the end), and ids. */
export interface Page {
  cursor: string;
  ids: string[];
}

/** Everything that is known about a hold (INV.HOLD). */
export interface Hold {
  hold: string;
  state: "live" | "committed" | "released" | "expired" | "ordered";
  customer: string | null;
  expiresAt: number | null;
  endedAt: number | null;
  left: number;
  items: { sku: string; qty: number; left: number; committed: number }[];
}

/** An order that a worker has, under a lease until `deadline` (ORDER.CLAIM). */
export interface ClaimedOrder {
  order: string;
  token: number;
  attempt: number;
  customer: string;
  lane: string;
  items: [sku: string, qty: number][];
  /** The JSON value that the order was placed with. */
  data: unknown;
  placedAt: number;
  deadline: number;
}

/** The reply to ORDER.COMPLETE: the entry in the stream of completed orders, and with CLAIM the next order. */
export interface Completion {
  entry: string;
  next: ClaimedOrder | null;
}

/** What became of an order that failed (ORDER.FAIL). */
export interface Failure {
  state: "retrying" | "dead";
  attempt: number;
  due: number | null;
}

/** Everything that is known about an order (ORDER.GET). */
export interface Order {
  order: string;
  state: "waitlisted" | "pending" | "queued" | "claimed" | "retrying" | "completed" | "dead" | "cancelled";
  customer: string;
  group: string | null;
  lane: string;
  hold: string | null;
  items: { sku: string; qty: number; returned: number; missing: number }[];
  /** The JSON value that the order was placed with. */
  data: unknown;
  entry: string | null;
  placedAt: number;
  endedAt: number | null;
  complete: string | null;
  /** The JSON value that the order was completed with. */
  result: unknown;
  reason: string | null;
  late: boolean;
  attempts: number;
  worker: string | null;
  token: number | null;
  due: number | null;
  gates: { gate: string; deadline: number | null; passed: boolean }[];
  step: string | null;
  version: number;
  history: Record<string, string | number | null>[];
}

/** Who owns a lock, and how many wait for it (LOCK.GET). */
export interface LockState {
  owner: string | null;
  token: number | null;
  acquiredAt: number | null;
  deadline: number | null;
  ttlMs: number | null;
  waiting: number;
}

/** What is needed of a client of node-redis. */
export interface RedisClient {
  sendCommand(args: readonly (string | Buffer)[], options?: object): Promise<unknown>;
  duplicate(overrides?: object): RedisClient;
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  options?: { socket?: object } | undefined;
}

/** What is needed of a cluster of node-redis. */
export interface RedisCluster {
  sendCommand(
    firstKey: string | Buffer | undefined,
    isReadonly: boolean | undefined,
    args: (string | Buffer)[],
    options?: object,
  ): Promise<unknown>;
  duplicate(overrides?: object): RedisCluster;
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  readonly slots: unknown;
}

/** What is needed of a sentinel of node-redis. */
export interface RedisSentinel {
  sendCommand(isReadonly: boolean | undefined, args: (string | Buffer)[], options?: object): Promise<unknown>;
  duplicate(overrides?: object): RedisSentinel;
  connect(): Promise<unknown>;
  destroy(): Promise<unknown>;
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  getMasterNode(): unknown;
}

/** What of node-redis a client of Holdfast can go through. */
export type Redis = RedisClient | RedisCluster | RedisSentinel;
